"""The site's opt-out list: read for certain, or not at all."""

import os

import pytest
from records import CANARY

from fhir_mappings.errors import OptOutError
from fhir_mappings.opt_out import OptOutList, read_opt_out


@pytest.fixture
def listed(tmp_path):
    def write(text, name="opt-out.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "ada\nbob\n",
        "ada\r\nbob",
        "\ufeffada\nbob\n",
        "# asked by telephone\n\nada\n  bob  \n",
        "patient_id\nada\nbob\n",
        "Patient_ID\nPatient/ada\nhttps://ehr.example/fhir/Patient/bob\n",
        'reason,patient_id,since\n"moved, far",ada,2024\n,bob,2025\n',
        "since;patient_id\n2024;ada\n2025;bob\n",
        "ada\nbob\nada\n",
    ],
)
def test_ids_are_read_as_people_write_them(listed, text):
    assert read_opt_out(listed(text)) == {"ada", "bob"}


def test_a_list_may_be_empty(listed):
    assert read_opt_out(listed("# nobody yet\n")) == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"name,number\n{CANARY},ada\n", r"line 1: several columns"),
        (f"# x\nada\n{CANARY},bob\n", r"line 3: several columns"),
        (f"patient_id\nada {CANARY}\n", r"line 2: not one patient id"),
        (f"name,patient_id\n{CANARY}\n", r"line 2: not one patient id"),
        (f"name,patient_id\n{CANARY},\n", r"line 2: not one patient id"),
        (f'patient_id\n"{CANARY}\n', "not CSV"),
        (b"\xff\xfe\x00a", "not UTF-8"),
    ],
)
def test_what_cannot_be_read_for_certain_is_an_error_that_quotes_nothing(listed, text, message):
    with pytest.raises(OptOutError, match=message) as caught:
        read_opt_out(listed(text))
    assert CANARY not in str(caught.value)


def test_a_list_that_is_named_and_absent_is_an_error(tmp_path):
    for read in (read_opt_out, OptOutList):
        with pytest.raises(OptOutError, match="no such"):
            read(tmp_path / "absent.csv")
        with pytest.raises(OptOutError, match="cannot be read"):
            read(tmp_path)


def test_without_a_file_nobody_is_listed():
    assert OptOutList(None).patients() == frozenset()


def test_a_changed_list_takes_effect_at_once_and_a_lost_one_stops_everything(listed):
    path = listed("ada\n")
    kept = OptOutList(path)
    assert kept.patients() == {"ada"}
    path.write_text("ada\nbob\n")
    assert kept.patients() == {"ada", "bob"}
    replacement = listed("eve\nbob\n", "new.csv")
    os.utime(replacement, ns=(path.stat().st_mtime_ns,) * 2)
    replacement.replace(path)
    assert kept.patients() == {"eve", "bob"}
    path.unlink()
    with pytest.raises(OptOutError):
        kept.patients()
