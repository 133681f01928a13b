"""A Consent that cannot be read is no permission, and those of others than the patient are told."""

import csv

import pytest
from records import (
    bundle,
    clock,
    concept,
    encounter,
    ingested,
    lab,
    moment,
    ndjson,
    patient,
    stored,
)

from fhir_mappings.consent import OptOuts, why_refused
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import read_bundle

DEFAULT = load_profile("default")
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
NOW = OptOuts(at=moment(50))
ADA = {"reference": "Patient/ada"}


def consent(name="c", /, **elements):
    """An active permission of everything, made on day 0."""
    return {
        "resourceType": "Consent",
        "id": name,
        "status": "active",
        "scope": concept(SCOPE, "patient-privacy"),
        "patient": ADA,
        "dateTime": clock(0),
        "provision": {"type": "permit"},
    } | elements


OF_R5 = {"patient": None, "scope": None, "subject": ADA, "decision": "permit"}
UNREADABLE = [
    {"provision": [{"type": "permit"}]},
    {"provision": {"type": "permit", "purpose": "TREAT"}},
    {"provision": {"type": "refuse"}},
    {"provision": {"type": "permit", "provision": [{"type": "unless"}]}},
    {"scope": "patient-privacy"},
    {"dateTime": 2024},
    {"status": None},
    {"status": "on-hold"},
    {"status": ["active"]},
    OF_R5,
    OF_R5 | {"provision": [{}]},
    {"id": None},
    {"id": 7},
]


def why(*resources):
    found = read_bundle(bundle(patient(), *resources), DEFAULT)
    assert found.subject == "ada"
    answers = {why_refused("ada", found.events, use, NOW) for use in ("scoring", "training")}
    (answer,) = answers
    return answer


def test_one_that_can_be_read_and_permits_keeps_nobody_out():
    assert why(consent()) is None


@pytest.mark.parametrize("elements", UNREADABLE, ids=str)
def test_what_cannot_be_read_is_no_permission(elements, tmp_path):
    assert why(consent(**elements)) == "consent_unreadable"
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient(), consent(**elements))))
    events = stored(tmp_path / "store")["ada"]
    assert why_refused("ada", events, "training", NOW) == "consent_unreadable"


@pytest.mark.parametrize("elements", [{"patient": None}, {"patient": "ada"}], ids=str)
def test_in_a_record_of_one_patient_it_is_theirs_even_if_it_names_nobody(elements, tmp_path):
    assert why(consent(**elements)) == "consent_unreadable"
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient(), consent(**elements))))
    with (tmp_path / "store" / "rejects.csv").open(encoding="utf-8", newline="") as file:
        assert [row["element"].startswith("Consent") for row in csv.DictReader(file)] == [True]


@pytest.mark.parametrize("status", ["inactive", "rejected", "entered-in-error", "draft"])
@pytest.mark.parametrize("elements", [{"provision": [{}]}, {"patient": None}, {"id": None}, OF_R5])
def test_one_that_is_not_in_force_keeps_nobody_out_however_it_is_written(status, elements):
    assert why(consent(**elements, status=status)) is None


def test_without_a_scope_a_refusal_counts_and_a_permission_lifts_nothing():
    assert why(consent(scope=None, provision={"type": "deny"})) == "opted_out"
    later = consent("d", scope=None, dateTime=clock(9))
    assert why(consent(provision={"type": "deny"}), later) == "opted_out"


def test_a_permission_lifts_nothing_that_cannot_be_read():
    assert why(consent(provision=[{}]), consent("d", dateTime=clock(9))) == "consent_unreadable"
    assert why(consent(provision=[{}]), consent("d", provision={"type": "deny"})) == "opted_out"


def test_consents_without_ids_of_two_patients_do_not_take_one_anothers_place(tmp_path):
    records = [patient("ada"), patient("bob"), consent(id=None)]
    records.append(consent(id=None, patient={"reference": "Patient/bob"}))
    ingested(tmp_path / "store", ("a.ndjson", ndjson(*records)))
    for who, events in stored(tmp_path / "store").items():
        assert why_refused(who, events, "training", NOW) == "consent_unreadable"


def test_a_later_version_that_can_be_read_takes_its_place(tmp_path):
    broken = consent(provision=[{}], meta={"lastUpdated": clock(1)})
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient(), broken)))
    assert why_refused("ada", stored(tmp_path / "store")["ada"], "scoring", NOW)
    mended = consent(meta={"lastUpdated": clock(2)})
    ingested(tmp_path / "store", ("b.ndjson", ndjson(mended)))
    assert why_refused("ada", stored(tmp_path / "store")["ada"], "scoring", NOW) is None


def test_a_key_that_is_repeated_leaves_the_patient_out(tmp_path):
    line = ndjson(consent()).replace(b'"status"', b'"status":"draft","status"')
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient()) + line))
    events = stored(tmp_path / "store")["ada"]
    assert why_refused("ada", events, "scoring", NOW) == "consent_unreadable"


def test_it_is_counted_where_an_ingest_tells_what_it_did_not_use(tmp_path):
    records = ndjson(patient(), encounter("e", 0, 3), lab("l", 1), consent(provision=[{}]))
    summary = ingested(tmp_path / "store", ("a.ndjson", records))
    assert summary.rejected == 1
    assert summary.questionable == {"Consent: cannot be read, counts as a refusal": 1}


@pytest.mark.parametrize("provision", [{"type": "deny"}, [{}]])
def test_a_consent_of_another_patient_makes_a_record_of_two(provision):
    with pytest.raises(UnprocessableError, match="2 patients"):
        why(consent(patient={"reference": "Patient/bob"}, provision=provision))


@pytest.mark.parametrize("performer", ["RelatedPerson/mother", "Practitioner/p", "Patient/ada"])
def test_who_decided_is_not_asked(performer):
    said = {"performer": [{"reference": performer}]}
    assert why(consent(**said, provision={"type": "deny"})) == "opted_out"
    assert why(consent(provision={"type": "deny"}), consent("d", **said, dateTime=clock(9))) is None


def test_undated_ones_and_those_to_come():
    refusal = {"dateTime": None, "provision": {"type": "deny"}}
    assert why(consent(**refusal), consent("d", dateTime=clock(9))) == "opted_out"
    assert why(consent(dateTime=clock(90), provision={"type": "deny"})) is None


def test_decisions_of_two_kinds_stand_side_by_side():
    """Research is permitted after everything was refused: of another scope, it lifts nothing."""
    trial = consent("d", scope=concept(SCOPE, "research"), dateTime=clock(9))
    assert why(consent(provision={"type": "deny"}), trial) == "opted_out"
    will = consent("e", scope=concept(SCOPE, "adr"), provision={"type": "deny"})
    operation = consent("f", scope=concept(SCOPE, "treatment"), provision={"type": "deny"})
    assert why(will, operation) is None
