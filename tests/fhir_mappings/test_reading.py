"""A Bundle of one patient, as an EHR sends it."""

import pytest
from records import (
    CANARY,
    bundle,
    clock,
    concept,
    condition,
    encode,
    encounter,
    lab,
    moment,
    order,
    patient,
    procedure,
)

from fhir_mappings.errors import NotFHIRError, UnprocessableError
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import read_bundle

DEFAULT = load_profile("default")


def read(*resources):
    return read_bundle(bundle(*resources), DEFAULT)


def test_patient_of_a_bundle_is_named_and_the_resources_counted():
    found = read(patient(), lab("a", 0), lab("b", 1), {"resourceType": "Claim", "id": "x"})
    assert found.subject == "ada"
    assert found.resources == {"Patient": 1, "Observation": 2, "Claim": 1}
    assert found.rejected == []


def test_two_patients_are_refused():
    with pytest.raises(UnprocessableError, match="2 patients"):
        read(patient("ada"), patient("bob"))
    with pytest.raises(UnprocessableError, match="2 patients"):
        read(lab("a", 0, who="ada"), lab("b", 0, who="bob"))


@pytest.mark.parametrize(
    "resources", [(), ({"resourceType": "Claim", "id": "x"},), ({"resourceType": "Medication"},)]
)
def test_bundle_without_a_patient_is_refused(resources):
    with pytest.raises(UnprocessableError, match="no record of a patient"):
        read(*resources)


def test_records_without_the_patient_resource_still_name_the_patient():
    assert read(lab("a", 0)).subject == "ada"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        encode(patient()),
        b'{"resourceType":"Bundle","entry":[{}',
        b'{"resourceType":"Bundle","id":"%s","id":"x"}' % CANARY.encode(),
        b'{"resourceType":"Bundle","entry":"%s"}' % CANARY.encode(),
    ],
)
def test_what_is_no_bundle_is_refused_without_quoting_it(body):
    with pytest.raises(NotFHIRError) as refusal:
        read_bundle(body, DEFAULT)
    assert CANARY not in str(refusal.value)


def test_broken_resource_costs_itself():
    found = read(patient(), lab("a", 0), lab("b", 0, status=[CANARY]))
    assert [event.source for event in found.events if event.kind == "observation"] == [
        "Observation/a"
    ]
    assert [each.element for each in found.rejected] == ["Bundle.entry[2].Observation.status"]
    assert CANARY not in repr(found.rejected)


def test_record_without_a_patient_is_told():
    found = read(patient(), lab("a", 0, subject=None))
    assert [each[:2] for each in found.rejected] == [("Observation.subject", "missing")]


@pytest.mark.parametrize("about", ["Group/ada", "Device/7", "https://x.example/fhir/Location/ada"])
def test_record_about_a_ward_or_a_device_is_nobodys(about):
    found = read(patient(), lab("a", 0, subject={"reference": about}))
    assert found.subject == "ada"
    assert all(event.kind == "patient" for event in found.events)


def test_records_without_an_id_do_not_take_one_anothers_place():
    nameless = [lab("", 0, 140), lab("", 1, 150)]
    found = read(patient(), *nameless)
    assert [each[:2] for each in found.rejected] == [("Observation.id", "missing")] * 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_latest_version_of_a_record_counts(order):
    versions = [
        lab("a", 0, 150, meta={"lastUpdated": clock(2)}),
        lab("a", 0, 140, meta={"lastUpdated": clock(1)}),
    ]
    found = read(*(versions[place] for place in order))
    assert [event.value for event in found.events] == [150.0]


def test_of_versions_without_a_date_the_last_one_counts():
    assert [event.value for event in read(lab("a", 0, 140), lab("a", 0, 150)).events] == [150.0]


def test_later_entry_in_error_withdraws_the_record():
    versions = [
        lab("a", 0, meta={"lastUpdated": clock(1)}),
        lab("a", 0, status="entered-in-error", meta={"lastUpdated": clock(2)}),
    ]
    assert read(patient(), *versions, lab("b", 0)).events != []
    assert {e.source for e in read(*versions, lab("b", 0)).events} == {"Observation/b"}


def test_exact_duplicates_are_one():
    assert len(read(lab("a", 0), lab("a", 0)).events) == 1


def test_the_same_part_twice_in_one_record_is_one():
    part = {"code": concept("http://loinc.org", "1"), "valueInteger": 1}
    assert len(read(lab("a", 0, None, component=[part, part])).events) == 1


def test_undated_records_take_the_time_of_their_encounter_wherever_it_stands():
    stay = {"encounter": {"reference": "Encounter/e"}}
    late = [
        condition("c", stay="e"),
        procedure("p", 0, performedDateTime=None, **stay),
        order("m", 0, authoredOn=None, **stay),
    ]
    for resources in ([*late, encounter("e", 0, 4)], [encounter("e", 0, 4), *late]):
        times = {e.source: e.time for e in read(*resources).events if e.kind != "encounter"}
        assert times == {
            "Condition/c": moment(4),
            "Procedure/p": moment(4),
            "MedicationRequest/m": moment(0),
        }


def test_questionable_values_are_counted_over_the_bundle():
    found = read(lab("a", 0, effectiveDateTime="9999"), lab("b", 0, effectiveDateTime="tomorrow"))
    assert found.questionable == {("Observation.effective", "no FHIR date, or an absurd year"): 2}
