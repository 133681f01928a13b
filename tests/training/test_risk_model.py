"""The door: contributions that add up, and no damaged model ever let in."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from fhir_mappings.errors import RiskModelError
from training.risk_model import (
    Champion,
    champion,
    load_risk_model,
    read_champion,
    write_champion,
)

FILES = ("model.ubj", "features.json", "calibration.json", "reference.json", "manifest.json")
any_value = st.floats(width=32, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(row=st.lists(any_value, min_size=10, max_size=10))
def test_contributions_and_baseline_add_up_to_the_risk(risk_model, row):
    prediction = risk_model.explain(np.array(row, dtype=np.float32))
    total = sum(prediction.contributions) + prediction.baseline
    assert total == pytest.approx(prediction.log_odds, abs=1e-5)
    assert prediction.probability == pytest.approx(expit(prediction.log_odds), abs=1e-12)
    assert prediction.probability == risk_model.predict([row])[0]


def test_explaining_many_stays_is_explaining_each(risk_model, study):
    together = risk_model.explain_many(study.values[:50])
    assert together == [risk_model.explain(row) for row in study.values[:50]]
    assert [p.probability for p in together] == risk_model.predict(study.values[:50]).tolist()


# shap 0.51 sets colours on import in a way that matplotlib 3.11 will deprecate.
@pytest.mark.filterwarnings("ignore:The set_:PendingDeprecationWarning")
def test_contributions_are_those_of_shap_in_calibrated_log_odds(risk_model, fit, study):
    import shap

    rows = study.values[:100]
    explainer = shap.TreeExplainer(fit.booster)
    expected = explainer.shap_values(rows) * risk_model.calibration.slope
    ours = [prediction.contributions for prediction in risk_model.explain_many(rows)]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_threads_may_share_a_model(risk_model, study):
    alone = [risk_model.explain(row) for row in study.values[:200]]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(risk_model.explain, study.values[:200])) == alone


def test_bands_meet_at_the_thresholds(risk_model):
    reference = risk_model.reference
    assert risk_model.band(0.0) == "low"
    assert risk_model.band(reference.low_below) == "moderate"
    assert risk_model.band(np.nextafter(reference.high_from, 0)) == "moderate"
    assert risk_model.band(reference.high_from) == "high"


def test_what_was_saved_is_what_is_loaded(save, tmp_path, study, risk_model):
    fingerprint = save(tmp_path / "model")
    model = load_risk_model(
        tmp_path / "model", version="7", run_id="run", manifest_sha256=fingerprint
    )
    assert model.features == study.features
    assert (model.name, model.version, model.run_id) == ("readmit", "7", "run")
    assert model.fingerprint == fingerprint
    assert model.horizon_days == 30
    assert model.reference == risk_model.reference


def test_the_same_model_is_saved_as_the_same_bytes(save, tmp_path):
    assert save(tmp_path / "one") == save(tmp_path / "two")
    for file in FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_model_is_never_overwritten(save, tmp_path):
    save(tmp_path / "model")
    with pytest.raises(RiskModelError, match="never overwritten"):
        save(tmp_path / "model")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_a_flipped_bit_is_refused_before_anything_is_parsed(
    save, tmp_path, monkeypatch, file, where
):
    fingerprint = save(tmp_path / "model")
    path = tmp_path / "model" / file
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if where == 0.5 else where] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr("xgboost.Booster", None)
    with pytest.raises(RiskModelError, match=file):
        load_risk_model(tmp_path / "model", manifest_sha256=fingerprint)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(save, tmp_path, file):
    save(tmp_path / "model")
    (tmp_path / "model" / file).unlink()
    with pytest.raises(RiskModelError, match=f"{file} is missing"):
        load_risk_model(tmp_path / "model")


def test_a_file_that_the_manifest_does_not_know_is_named(save, tmp_path):
    save(tmp_path / "model")
    (tmp_path / "model" / "extra.pkl").write_bytes(b"")
    with pytest.raises(RiskModelError, match=r"extra\.pkl"):
        load_risk_model(tmp_path / "model")


def rewrite(folder, file, change):
    """Change a file and its entry in the manifest: damage that the checksums do not show."""
    import hashlib

    content = change((folder / file).read_bytes())
    (folder / file).write_bytes(content)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    manifest["files"][file] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))


def edited(change):
    def apply(content):
        value = msgspec.json.decode(content)
        change(value)
        return msgspec.json.encode(value)

    return apply


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (
            "features.json",
            edited(lambda value: value.pop()),
            "has 10 features and features.json declares 9",
        ),
        ("features.json", edited(lambda value: value.reverse()), "name different features"),
        ("features.json", edited(lambda value: value[0].update(odd=1)), "unknown field"),
        (
            "calibration.json",
            edited(lambda value: value.update(slope=-1.0)),
            "slope must be above 0",
        ),
        ("reference.json", lambda content: b"\xff", "reference.json"),
        ("model.ubj", lambda content: b"{}", "model.ubj"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(save, tmp_path, file, change, words):
    save(tmp_path / "model")
    rewrite(tmp_path / "model", file, change)
    with pytest.raises(RiskModelError, match=words):
        load_risk_model(tmp_path / "model")


def test_another_format_and_another_list_of_files_are_refused(save, tmp_path):
    save(tmp_path / "model")
    path = tmp_path / "model" / "manifest.json"
    original = path.read_bytes()
    path.write_bytes(edited(lambda value: value.update(format=2))(original))
    with pytest.raises(RiskModelError, match="format 2 where 1 is read"):
        load_risk_model(tmp_path / "model")
    path.write_bytes(edited(lambda value: value["files"].pop("model.ubj"))(original))
    with pytest.raises(RiskModelError, match=r"model\.ubj"):
        load_risk_model(tmp_path / "model")


def test_no_folder_is_no_model(tmp_path):
    with pytest.raises(RiskModelError, match="no risk model here"):
        load_risk_model(tmp_path / "absent")


def test_rows_of_another_width_and_infinite_values_are_refused(risk_model):
    with pytest.raises(RiskModelError, match="10 features"):
        risk_model.predict(np.zeros((2, 9)))
    row = np.zeros(10)
    row[3] = np.inf
    with pytest.raises(RiskModelError, match="feature f3 has an infinite value"):
        risk_model.explain(row)


def note(fingerprint, folder="artifacts/run/artifacts/model"):
    return Champion("readmit", "1", "run", folder, fingerprint)


def test_the_champion_is_found_by_its_note_alone(save, tmp_path):
    fingerprint = save(tmp_path / "artifacts/run/artifacts/model")
    write_champion(tmp_path, note(fingerprint))
    model = champion(tmp_path)
    assert (model.version, model.run_id) == ("1", "run")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["champion.json"]


def test_without_a_champion_there_is_nothing_to_load(tmp_path):
    assert read_champion(tmp_path) is None
    with pytest.raises(RiskModelError, match="no model is in use yet"):
        champion(tmp_path)


def test_a_champion_swapped_for_another_sound_model_is_refused(save, tmp_path):
    save(tmp_path / "artifacts/run/artifacts/model")
    write_champion(tmp_path, note("0" * 64))
    with pytest.raises(RiskModelError, match="not the one that was registered"):
        champion(tmp_path)


def test_a_champion_outside_the_folder_is_refused(save, tmp_path):
    fingerprint = save(tmp_path / "elsewhere")
    (tmp_path / "mlruns").mkdir()
    write_champion(tmp_path / "mlruns", note(fingerprint, "../elsewhere"))
    with pytest.raises(RiskModelError, match="outside"):
        champion(tmp_path / "mlruns")
    (tmp_path / "mlruns" / "champion.json").write_bytes(b"{")
    with pytest.raises(RiskModelError, match=r"champion\.json"):
        champion(tmp_path / "mlruns")


def test_the_door_does_not_import_what_the_service_must_not_wait_for():
    code = (
        "import sys, training.risk_model; "
        "names = {'mlflow', 'shap', 'training.train', 'training.tracking', 'training.study_data'}; "
        "sys.exit(', '.join(sorted(names & sys.modules.keys())) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stderr.strip() == ""
    assert finished.returncode == 0


def test_log_odds_of_a_probability_round_trip(risk_model, study):
    prediction = risk_model.explain(study.values[0])
    assert logit(prediction.probability) == pytest.approx(prediction.log_odds, abs=1e-9)
