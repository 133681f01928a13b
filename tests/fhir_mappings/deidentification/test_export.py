"""An export as a whole: where it may be written, what happens when it fails, and its report."""

import gzip
import json
from pathlib import Path

import pytest
from golden_pairs import KEY, exported
from records import (
    concept,
    condition,
    encounter,
    lab,
    ndjson,
    order,
    patient,
    procedure,
    written,
)

from fhir_mappings.deidentification import sorted_lines
from fhir_mappings.deidentification.allow_list import allow_list
from fhir_mappings.deidentification.dates import Dates
from fhir_mappings.deidentification.export import REPORT, export
from fhir_mappings.deidentification.pseudonyms import Pseudonyms
from fhir_mappings.deidentification.sorted_lines import SortedLines
from fhir_mappings.deidentification.tally import Tally
from fhir_mappings.deidentification.walker import Walker
from fhir_mappings.deidentification.zip_codes import zip3
from fhir_mappings.errors import ExportError
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import MAPPINGS

DEFAULT = load_profile("default")
SOME = ndjson(patient(), encounter("stay", 0, 3), lab("sodium", 1), lab("later", 2))


def lines(folder: Path) -> dict[str, list[str]]:
    return {f.name: f.read_text(encoding="utf-8").splitlines() for f in folder.glob("*.ndjson")}


def test_every_type_that_the_mappings_read_is_listed():
    assert {record.__name__ for record in MAPPINGS} | {"Medication"} <= set(allow_list())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    source = written(tmp_path / "in" / "records.ndjson", SOME)
    kept = written(tmp_path / "out" / "mine.txt", b"mine")
    with pytest.raises(ExportError, match="not an empty folder"):
        export([source], tmp_path / "out", KEY, DEFAULT)
    assert [*(tmp_path / "out").iterdir()] == [kept]


@pytest.mark.parametrize("place", ["in", "in/out", "."])
def test_an_export_is_never_written_into_the_records_or_around_them(tmp_path, place):
    written(tmp_path / "in" / "records.ndjson", SOME)
    with pytest.raises(ExportError, match="within the records"):
        export([tmp_path / "in"], tmp_path / place, KEY, DEFAULT)


def test_without_an_entry_in_the_audit_nothing_is_left_behind(tmp_path):
    source = written(tmp_path / "in" / "records.ndjson", SOME)

    def refuse(summary):
        assert summary.resources == 4
        assert not (tmp_path / "out").exists(), "it was released before it was recorded"
        raise RuntimeError("the audit cannot be written")

    with pytest.raises(RuntimeError):
        export([source], tmp_path / "out", KEY, DEFAULT, before_release=refuse)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def test_two_exports_cannot_be_joined_unless_that_is_asked_for(tmp_path):
    first, second = (lines(exported(tmp_path / name, SOME, keep_pseudonyms=False)) for name in "ab")
    assert not {*first["Patient.ndjson"]} & {*second["Patient.ndjson"]}
    third, fourth = (lines(exported(tmp_path / name, SOME)) for name in "cd")
    assert third == fourth


def test_another_key_gives_other_names_and_other_dates():
    keys = [Pseudonyms(bytes([number]) * 32, b"") for number in range(20)]
    assert len({key.of("Patient", "ada") for key in keys}) == 20
    assert len({key.weeks("ada") for key in keys}) > 10
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(b"short", b"")


def test_equal_ids_of_two_types_are_named_differently():
    names = Pseudonyms(KEY, b"")
    assert names.of("Patient", "7") != names.of("Encounter", "7")
    assert names.of("Patient", "7").isalpha()


def test_references_name_what_they_named(tmp_path):
    stay = {"encounter": {"reference": "Encounter/stay"}}
    content = ndjson(
        patient(), encounter("stay", 0, 3), lab("sodium", 1, **stay), condition("hf", stay="stay")
    )
    found = {name: json.loads(each[0]) for name, each in lines(exported(tmp_path, content)).items()}
    who = f"Patient/{found['Patient.ndjson']['id']}"
    where = f"Encounter/{found['Encounter.ndjson']['id']}"
    for name in ("Observation.ndjson", "Condition.ndjson"):
        assert found[name]["subject"] == {"reference": who}
        assert found[name]["encounter"] == {"reference": where}


def test_the_order_of_the_records_is_not_that_of_the_export(tmp_path):
    people = [patient(f"patient-{number:03}") for number in range(40)]
    forth = exported(tmp_path / "forth", ndjson(*people))
    back = exported(tmp_path / "back", ndjson(*reversed(people)))
    assert lines(forth) == lines(back)


def test_versions_of_a_record_keep_their_order_when_memory_is_short(tmp_path, monkeypatch):
    monkeypatch.setattr(sorted_lines, "RUN_BYTES", 1)
    short = SortedLines(tmp_path, "Patient", 2, run_bytes=10)
    for number in range(50):
        short.add(f"{'ba'[number % 2]}: version {number:02}".encode())
    short.finish(zipped=False)
    found = (tmp_path / "Patient.ndjson").read_text().splitlines()
    assert found == sorted(found)
    assert [file.name for file in tmp_path.iterdir()] == ["Patient.ndjson"]


def test_gzipped_records_in_and_out(tmp_path):
    source = written(tmp_path / "in" / "records.ndjson.gz", SOME, zipped=True)
    export([source], tmp_path / "out", KEY, DEFAULT, keep_pseudonyms=True, zipped=True)
    plain = lines(exported(tmp_path / "plain", SOME))
    packed = (tmp_path / "out" / "Observation.ndjson.gz").read_bytes()
    assert gzip.decompress(packed).decode().splitlines() == plain["Observation.ndjson"]
    assert packed[3:8] == bytes(5), "neither a name nor a time in the header"


def test_bad_lines_are_counted_and_stop_nothing(tmp_path):
    source = written(
        tmp_path / "in" / "records.ndjson",
        SOME + b'{"resourceType": "Patient", "id": "a", "id": "b"}\n[]\nbroken\n{"id": "x"}\n',
    )
    summary = export([source], tmp_path / "out", KEY, DEFAULT)
    assert summary.resources == 4
    assert sum(summary.rejected.values()) == 4


def test_the_report_names_what_fhir_names_and_counts_the_rest(tmp_path):
    odd = patient(name=[{"text": "Ada"}], **{"Ada Quillfeather": 1, "_birthDate": {}})
    source = written(tmp_path / "in" / "records.ndjson", ndjson(odd, {"resourceType": "Ada"}))
    elements = export([source], tmp_path / "out", KEY, DEFAULT)
    assert elements.elements["Patient.name"] == {"dropped": 1}
    assert elements.elements["Patient.(not an element of FHIR)"] == {"dropped": 1}
    assert elements.elements["Patient.birthDate"] == {"dropped": 1, "to the year": 1}
    assert elements.left_out == {"(not a resource type of FHIR)": {"type not listed": 1}}


def test_small_counts_do_not_travel_and_cannot_be_had_by_subtraction(tmp_path):
    content = ndjson(*(patient(str(n)) for n in range(97)), *(lab(str(n), 1) for n in range(3)))
    report = json.loads((exported(tmp_path, content) / REPORT).read_text())
    assert report["written"] == {"Patient": 100, "Observation": "<11"} or report["written"] == {
        "Observation": "<11",
        "Patient": 100,
    }
    assert report["resources"] == 100


@pytest.mark.parametrize("dates", list(Dates))
def test_an_export_says_whether_it_is_safe_harbor(tmp_path, dates):
    report = json.loads((exported(tmp_path, SOME, dates) / REPORT).read_text())
    assert report["safe_harbor"] is (dates is Dates.YEAR)
    assert ("NOT SAFE HARBOR" in report["meaning"]) is (dates is Dates.SHIFTED)
    assert ("no model of readmission" in report["meaning"]) is (dates is Dates.YEAR)


def test_an_export_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    source = written(tmp_path / "in" / "records.ndjson", SOME)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SortedLines, "finish", full)
    with pytest.raises(OSError, match="No space"):
        export([source], tmp_path / "out", KEY, DEFAULT)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("address", "area"),
    [
        ({"postalCode": "02139", "country": "US"}, "021"),
        ({"postalCode": "02139-4307", "state": "MA"}, "021"),
        ({"postalCode": "03601", "country": "USA"}, "000"),
        ({"postalCode": "89301", "country": "us"}, "000"),
        ({"postalCode": "80331", "country": "DE"}, None),
        ({"postalCode": "80331"}, None),
        ({"postalCode": "2139", "country": "US"}, None),
        ({"postalCode": ["02139"], "country": "US"}, None),
        ("02139", None),
    ],
)
def test_of_a_zip_code_three_digits_where_enough_people_live(address, area):
    assert zip3(address) == area


def test_a_local_code_is_kept_where_the_site_profile_names_it():
    home = concept("http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-discharge-disposition", "HOME")
    other = concept("http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-discharge-disposition", "ADA")
    from fhir_mappings.deidentification.codes import PublicCodes

    mimic, default = PublicCodes(load_profile("mimic")), PublicCodes(DEFAULT)
    assert mimic.concept(home) == (home, 0)
    assert mimic.concept(other) == (None, 1)
    assert default.concept(home) == (None, 1)


@pytest.mark.parametrize(
    ("system", "good", "bad"),
    [
        ("http://snomed.info/sct", "84114007", "84114008"),
        ("http://snomed.info/sct", "308335008", "5550147933"),
        ("http://loinc.org", "2951-2", "2951-3"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "I50.9", "Ada"),
        ("http://hl7.org/fhir/sid/icd-10-pcs", "0DTJ4ZZ", "SANCHEZ"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "4603", "078051120"),
    ],
)
def test_what_only_looks_like_a_code_is_not_one(system, good, bad):
    from fhir_mappings.deidentification.codes import PublicCodes

    codes = PublicCodes(DEFAULT)
    assert codes.coding({"system": system, "code": good}) == {"system": system, "code": good}
    assert codes.coding({"system": system, "code": bad}) is None


def test_the_address_of_a_code_system_is_ours_and_not_the_records():
    from fhir_mappings.deidentification.codes import PublicCodes

    coding = {"system": "http://hl7.org/fhir/Zebedee/v3-ActPriority", "code": "EM"}
    kept = PublicCodes(DEFAULT).coding(coding)
    assert kept == {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority",
        "code": "EM",
    }


def test_records_of_no_patient_are_left_out(tmp_path):
    ward = lab("x", 1)
    ward["subject"] = {"reference": "Group/ward"}
    source = written(tmp_path / "in" / "r.ndjson", ndjson(ward, order("o", 1), procedure("p", 1)))
    summary = export([source], tmp_path / "out", KEY, DEFAULT)
    assert summary.left_out == {"Observation": {"about no patient": 1}}
    assert summary.written == {"MedicationRequest": 1, "Procedure": 1}


def test_memory_holds_two_dates_a_patient_and_nothing_more():
    walker = Walker(Pseudonyms(KEY, b""), DEFAULT, Dates.YEAR, Tally())
    from fhir_mappings.deidentification.references import Named

    for number in range(100):
        walker.survey(Named("Observation", str(number)), lab(str(number), 1), {})
    assert len(walker.spans) == 1
