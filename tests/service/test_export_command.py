"""``readmit export``: nothing without the operator's keys, nothing that is not in the audit."""

import json

import pytest
from records import lab, ndjson, patient, written

from service.database.audit_entries import entries
from service.database.engine import Database
from service.protection.keys import new_keys, write_keys


@pytest.fixture
def keyed(tmp_path, readmit, monkeypatch):
    """The command with keys, and records of one fictitious patient."""
    write_keys(tmp_path / "keys", new_keys())
    monkeypatch.setenv("READMIT_KEY_FILE", str(tmp_path / "keys"))
    written(tmp_path / "records" / "records.ndjson", ndjson(patient("ada"), lab("na", 1)))

    def run(*more):
        return readmit(
            "export", tmp_path / "records", "--deidentify", "safe-harbor",
            "--out", tmp_path / "out", *more,
        )  # fmt: skip

    return run


def test_without_keys_there_is_no_export(tmp_path, readmit):
    written(tmp_path / "records.ndjson", ndjson(patient()))
    done = readmit(
        "export", tmp_path / "records.ndjson", "--deidentify", "safe-harbor",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 2
    assert "READMIT_KEY_FILE" in done.err
    assert not (tmp_path / "out").exists()


def test_an_export_is_answered_in_counts(keyed, tmp_path):
    done = keyed("--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["method"], answer["resources"], answer["patients"]) == ("safe-harbor", 2, 1)
    assert "in no audit" in done.err
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "DEIDENTIFICATION.json",
        "Observation.ndjson",
        "Patient.ndjson",
    }


def test_who_is_on_the_list_is_not_exported(keyed, tmp_path):
    listed = written(tmp_path / "opt-out.txt", b"ada\n")
    answer = json.loads(keyed("--json", "--opt-out", listed).out)
    assert (answer["resources"], answer["patients"], answer["opted_out"]) == (0, 0, 1)


def test_without_the_list_that_was_named_there_is_no_export(keyed, tmp_path):
    done = keyed("--opt-out", tmp_path / "absent.txt")
    assert done.code == 2, done.err
    assert not (tmp_path / "out").exists()


def test_a_person_sees_what_was_removed(keyed):
    done = keyed()
    assert done.code == 0, done.err
    assert "Patient.birthDate" in done.out
    assert "to the year" in done.out


def test_shifted_dates_are_never_called_safe_harbor(keyed):
    answer = json.loads(keyed("--json", "--dates", "shifted-not-safe-harbor").out)
    assert answer["method"] == "dates-shifted-not-safe-harbor"


def test_an_export_is_entered_in_the_audit(keyed, tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path}/readmit.db"
    monkeypatch.setenv("READMIT_DATABASE", address)
    done = keyed("--json")
    assert done.code == 0, done.err
    assert "in no audit" not in done.err
    database = Database(address)
    with database.reading() as connection:
        (entry,) = entries(connection)
    database.close()
    assert entry.event == "records_exported"
    assert json.loads(entry.details) == {"count": 2, "method": "safe-harbor"}


def test_what_cannot_be_entered_is_not_exported(keyed, tmp_path, monkeypatch):
    monkeypatch.setenv("READMIT_DATABASE", f"sqlite:///{tmp_path}/readmit.db")
    monkeypatch.setenv("READMIT_AUDIT_ANCHOR", str(tmp_path / "absent" / "folder" / "anchor"))
    monkeypatch.setattr("service.audit.ledger.write_anchor", _refuse)
    done = keyed("--json")
    assert done.code != 0
    assert not (tmp_path / "out").exists()
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".unfinished")]


def _refuse(*_):
    raise OSError(28, "No space left on device")
