"""What a trial lets the service load: the model that the signed record names, and nothing else."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from promotion_runs import RunFiles, recorded

from fhir_mappings.errors import RiskModelError
from service import model_trial
from service.model_trial import load_tried, trial
from service.settings import Settings
from training.promotion.keys import make_key
from training.risk_model import MANIFEST, read_champion, write_champion

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


@pytest.fixture
def model_folder(tmp_path: Path, save: Callable[[Path], str]) -> Path:
    save(tmp_path / "whole")
    return tmp_path / "whole"


def test_a_whole_model_is_loaded_as_it_was_tried(model_folder: Path) -> None:
    model = load_tried(Settings(risk_model=model_folder))
    assert 0 < model.explain([1.0] * len(model.features)).probability < 1


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "m.joblib", "__init__.py"])
def test_a_folder_with_a_pickle_beside_the_model_is_refused(
    model_folder: Path, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(RiskModelError, match="not of the manifest"):
        load_tried(Settings(risk_model=folder))


def test_a_model_that_is_changed_after_its_trial_is_not_loaded(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))

    def tried_then_changed(*arguments: object) -> model_trial.Tried:
        found = trial(*arguments)  # type: ignore[arg-type]  # handed through
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**manifest, "name": "another"}))
        return found

    monkeypatch.setattr(model_trial, "trial", tried_then_changed)
    with pytest.raises(RiskModelError, match="not the one that was registered"):
        load_tried(Settings(risk_model=folder))


@pytest.fixture
def promoted(mlruns: Path, make_run: Callable[..., RunFiles]) -> Path:
    recorded(mlruns, make_run())
    return mlruns


def test_the_model_that_the_signed_record_names_is_served(promoted: Path) -> None:
    model = load_tried(Settings(mlruns=promoted))
    note = read_champion(promoted)
    assert note is not None
    assert (model.version, model.fingerprint) == (note.version, note.manifest_sha256)


def test_another_model_than_the_record_names_is_refused(promoted: Path, model_folder: Path) -> None:
    """Somebody who can write MLflow's folder, and has no key, swaps the model in use."""
    note = read_champion(promoted)
    assert note is not None
    swapped = promoted / "artifacts" / "swapped"
    shutil.copytree(model_folder, swapped)
    manifest = json.loads((swapped / MANIFEST).read_text())
    (swapped / MANIFEST).write_text(json.dumps({**manifest, "name": "swapped"}))
    digest = hashlib.sha256((swapped / MANIFEST).read_bytes()).hexdigest()
    folder = "artifacts/swapped"
    write_champion(
        promoted,
        type(note)(note.name, note.version, note.run_id, folder=folder, manifest_sha256=digest),
    )
    with pytest.raises(RiskModelError, match="signed record of promotions"):
        load_tried(Settings(mlruns=promoted))


def test_a_record_that_was_edited_is_refused(promoted: Path) -> None:
    record = promoted / "promotions.jsonl"
    record.write_bytes(record.read_bytes().replace(b'"by":"', b'"by":"Mallory ', 1))
    with pytest.raises(RiskModelError, match="was changed"):
        load_tried(Settings(mlruns=promoted))


def test_without_a_record_there_is_no_model(promoted: Path) -> None:
    for name in ("promotions.jsonl", "promotions.head.json"):
        (promoted / name).unlink()
    with pytest.raises(RiskModelError, match="signed record of promotions"):
        load_tried(Settings(mlruns=promoted))


def test_a_record_under_another_key_than_the_operators_is_refused(
    promoted: Path, tmp_path: Path
) -> None:
    from training.promotion.keys import signing_key, write_public_key

    make_key(tmp_path / "private.pem")
    public = signing_key(promoted, tmp_path / "private.pem").public_key()
    write_public_key(tmp_path / "public.pem", public)
    with pytest.raises(RiskModelError, match="not the key"):
        load_tried(Settings(mlruns=promoted, promotion_key=tmp_path / "public.pem"))


def test_a_loaded_model_goes_on_when_mlflows_folder_is_gone(promoted: Path) -> None:
    model = load_tried(Settings(mlruns=promoted))
    shutil.rmtree(promoted)
    assert 0 < model.explain([1.0] * len(model.features)).probability < 1
