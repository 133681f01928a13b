"""A past score, computed again: to the last bit, and beside what the records say today."""

import csv
import dataclasses
import stat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from promotion_runs import good_run, recorded
from records import condition, encounter, ingested, ndjson, patient

from fhir_mappings.errors import RiskModelError, UnprocessableError
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from service.batch import score_store
from training.promotion import promote
from training.replay.ledger import LEDGER, Part, find_score, score_id
from training.replay.replay import replay
from training.risk_model import champion

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

PROFILE = load_profile("default")
LATER = "2100-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory, save_with, blank_mlflow):
    """One registered model, that counts diagnoses."""
    folder = tmp_path_factory.mktemp("replay")
    return a_home(folder, blank_mlflow, good_run(folder, save_with(1.0)))


def a_home(folder, blank_mlflow, *runs):
    """MLflow's home with these runs."""
    home = folder / "mlruns"
    home.mkdir()
    (home / "mlflow.db").write_bytes(blank_mlflow)
    for run in runs:
        recorded(home, run)
    return home


def scored(folder, mlruns) -> dict[str, str]:
    """The table's line of the one stay in the store."""
    model = champion(mlruns)
    out = folder / "scores.csv"
    with open_store(folder / "store") as store, Part(folder / "store", model) as part:
        score_store(store, PROFILE, model, out, lambda *_: None, part)
    with out.open(encoding="utf-8", newline="") as file:
        (line,) = csv.DictReader(file)
    return line


@pytest.fixture
def line(tmp_path, mlruns) -> dict[str, str]:
    """Ada's stay after a visit with two diagnoses, scored."""
    ingested(
        tmp_path / "store",
        (
            "a.ndjson",
            ndjson(
                patient(),
                encounter("visit", -40, -39.9, kind="AMB"),
                encounter("stay", 0, 4),
                condition("one", "I50.9", stay="visit"),
                condition("two", "E11.9", stay="visit"),
            ),
        ),
    )
    return scored(tmp_path, mlruns)


def again(folder, mlruns, kept):
    with open_store(folder / "store") as store:
        return replay(kept, mlruns, store=store, profile=PROFILE)


def test_a_score_is_computed_again_to_the_last_bit(tmp_path, mlruns, line):
    found = again(tmp_path, mlruns, find_score(tmp_path / "store", line["score_id"]))
    assert found.identical
    assert round(found.probability_again, 6) == float(line["probability"])
    assert found.probability_today == found.probability_again
    assert found.differences == ()
    assert "same inputs" in found.records
    assert found.version == "1"


def test_scoring_again_gives_the_same_id_and_another_model_or_input_another(tmp_path, mlruns, line):
    assert scored(tmp_path, mlruns)["score_id"] == line["score_id"]
    assert len(list((tmp_path / "store" / LEDGER).iterdir())) == 2
    kept = find_score(tmp_path / "store", line["score_id"])
    ids = {
        score_id(kept.manifest_sha256, "stay", kept.as_of, kept.row),
        score_id("0" * 64, "stay", kept.as_of, kept.row),
        score_id(kept.manifest_sha256, "other", kept.as_of, kept.row),
        score_id(kept.manifest_sha256, "stay", kept.as_of + 1, kept.row),
        score_id(kept.manifest_sha256, "stay", kept.as_of, kept.row + 1),
    }
    assert len(ids) == 5
    assert line["score_id"] in ids


def test_a_part_of_the_ledger_has_its_name_on_disk_before_the_table_of_scores(
    tmp_path, mlruns, line, monkeypatch
):
    """A power cut must not leave a table whose ids nobody knows."""
    synced: list[tuple[str, int]] = []
    folder = tmp_path / "store" / LEDGER

    def noted(path):
        synced.append((path.name, len(list(folder.glob("*.parquet")))))

    monkeypatch.setattr("training.replay.ledger.sync", noted)
    scored(tmp_path, mlruns)
    assert [count for _, count in synced] == [1, 2]
    assert synced[1][0] == LEDGER


def test_a_correction_since_is_named_with_the_record_that_brought_it(tmp_path, mlruns, line):
    corrected = condition("two", "E11.9", stay="visit", meta={"lastUpdated": LATER})
    moved = condition("three", "N18.4", stay="visit", meta={"lastUpdated": LATER})
    ingested(tmp_path / "store", ("b.ndjson", ndjson(corrected, moved)))
    found = again(tmp_path, mlruns, find_score(tmp_path / "store", line["score_id"]))
    assert found.identical
    assert found.probability_today != found.probability
    first = found.differences[0]
    assert (first.feature, first.then, first.now) == ("f0", 2.0, 3.0)
    assert set(first.corrected) == {"Condition/two", "Condition/three"}
    assert "Condition/three (2100-01-01T00:00:00+00:00)" in first.sentence


def test_a_record_withdrawn_since_is_told_from_one_corrected(tmp_path, mlruns, line):
    for name in ("one", "two"):
        error = {"coding": [{"code": "entered-in-error"}]}
        gone = condition(name, "I50.9", stay="visit", meta={"lastUpdated": LATER})
        gone["verificationStatus"] = error
        ingested(tmp_path / "store", (f"{name}.ndjson", ndjson(gone)))
    found = again(tmp_path, mlruns, find_score(tmp_path / "store", line["score_id"]))
    assert found.identical
    assert (found.differences[0].then, found.differences[0].now) == (2.0, 0.0)
    assert "withdrawn" in found.differences[0].sentence


def test_a_patient_who_is_gone_leaves_the_score_that_was_kept(tmp_path, mlruns, line):
    kept = find_score(tmp_path / "store", line["score_id"])
    found = again(tmp_path, mlruns, dataclasses.replace(kept, subject="nobody"))
    assert found.identical
    assert found.probability_today is None
    assert "no longer knows" in found.records
    found = again(tmp_path, mlruns, dataclasses.replace(kept, encounter_id="nowhere"))
    assert "no longer hold this stay" in found.records


def test_a_kept_row_that_was_edited_no_longer_gives_its_score(tmp_path, mlruns, line):
    (path,) = (tmp_path / "store" / LEDGER).glob("*.parquet")
    table = pq.read_table(path, partitioning=None)
    row = table.column("row")[0].as_py()
    row[0] = 40.0
    edited = pa.array([row], pa.list_(pa.float32()))
    column = table.schema.get_field_index("row")
    pq.write_table(table.set_column(column, table.schema.field(column), edited), path)
    found = again(tmp_path, mlruns, find_score(tmp_path / "store", line["score_id"]))
    assert not found.identical


def test_the_model_is_found_by_its_hash_and_no_other_will_do(tmp_path, mlruns, line):
    kept = find_score(tmp_path / "store", line["score_id"])
    stranger = dataclasses.replace(kept, manifest_sha256="0" * 64)
    with pytest.raises(RiskModelError, match="no registered version"):
        again(tmp_path, mlruns, stranger)
    with pytest.raises(UnprocessableError, match="no score"):
        find_score(tmp_path / "store", "0" * 20)


def test_a_score_of_a_model_no_longer_in_use_is_computed_by_that_model(tmp_path, save_with, line):
    home = tmp_path / "mlruns"
    recorded(home, good_run(tmp_path, save_with(1.0), name="first"))
    first = scored(tmp_path, home)
    recorded(home, good_run(tmp_path, save_with(0.5), name="second"))
    assert promote(home, "2").champion == "2"
    second = scored(tmp_path, home)
    assert first["score_id"] != second["score_id"]
    assert first["probability"] != second["probability"]
    for given in (first, second):
        found = again(tmp_path, home, find_score(tmp_path / "store", given["score_id"]))
        assert found.identical
        assert found.version == given["version"]
        assert round(found.probability_again, 6) == float(given["probability"])


def test_the_ledger_is_the_owners_alone_and_holds_nothing_of_a_run_that_broke_off(
    tmp_path, mlruns, line
):
    folder = tmp_path / "store" / LEDGER
    (path,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    model = champion(mlruns)
    row = np.zeros(len(model.features), dtype=np.float32)

    def broken_off():
        with Part(tmp_path / "store", model) as part:
            part.add("ada", "stay", 0, row, model.explain(row))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list(folder.iterdir()) == [path]
