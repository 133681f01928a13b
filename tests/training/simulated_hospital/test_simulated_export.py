"""The same seed gives the same hospital, and a simulation never mixes with other records."""

import hashlib
from pathlib import Path

import pytest

from fhir_mappings.errors import StudyError
from training.simulated_hospital import simulate
from training.simulated_hospital.parameters import load_hospital


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    simulate(tmp_path / "one", 40, seed=5)
    simulate(tmp_path / "two", 40, seed=5)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")


def test_another_seed_gives_another_hospital(tmp_path: Path) -> None:
    simulate(tmp_path / "one", 40, seed=5)
    simulate(tmp_path / "two", 40, seed=6)
    one, two = _digests(tmp_path / "one"), _digests(tmp_path / "two")
    same = {name for name in one if one[name] == two[name]}
    assert same == {"Medication.ndjson", "Organization.ndjson"}


def test_a_person_lives_the_same_life_among_few_and_among_many(tmp_path: Path) -> None:
    simulate(tmp_path / "few", 20, seed=5)
    simulate(tmp_path / "many", 40, seed=5)
    few = (tmp_path / "few" / "truth" / "truth.csv").read_text().splitlines()
    many = (tmp_path / "many" / "truth" / "truth.csv").read_text().splitlines()
    assert many[: len(few)] == few
    assert len(many) > len(few)


def test_writing_again_over_an_earlier_simulation_leaves_only_the_later(tmp_path: Path) -> None:
    simulate(tmp_path / "one", 40, seed=5)
    simulate(tmp_path / "one", 10, seed=5)
    simulate(tmp_path / "two", 10, seed=5)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")


def test_a_folder_with_other_records_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "RealPatients.ndjson").write_text("{}\n")
    with pytest.raises(StudyError):
        simulate(tmp_path, 5, seed=1)
    assert [file.name for file in tmp_path.iterdir()] == ["RealPatients.ndjson"]


@pytest.mark.parametrize(("patients", "seed"), [(0, 1), (5, -1)])
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, patients: int, seed: int) -> None:
    with pytest.raises(StudyError):
        simulate(tmp_path, patients, seed=seed)


def test_progress_ends_with_all_patients(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate(tmp_path, 130, seed=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(100, 130), (130, 130)]


def test_the_summary_names_every_file_written(tmp_path: Path) -> None:
    summary = simulate(tmp_path, 10, seed=2)
    assert sorted(summary.files) == sorted(_digests(tmp_path))


def test_the_truth_lies_where_a_reader_of_the_records_does_not_look(tmp_path: Path) -> None:
    simulate(tmp_path, 10, seed=2)
    beside = {file.name for file in tmp_path.iterdir() if "ndjson" not in file.name}
    assert beside == {"truth"}
    assert not list((tmp_path / "truth").glob("*.ndjson*"))


def test_every_code_of_a_diagnosis_is_written_with_its_dot() -> None:
    hospital = load_hospital()
    codes = [code for chronic in hospital.chronic for code, _ in chronic.codes]
    codes += [reason.code[0] for reason in hospital.reasons]
    undotted = {code for code in codes if len(code) > 3 and code[3] != "."}
    assert undotted == set()
