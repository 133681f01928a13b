"""Medication: which drug, ordered, given or said to be taken."""

import pytest
from records import clock, concept, events, lab, mapped, moment, order, timeline

from fhir_mappings.formulary import drug_codes

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CATEGORY = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
WHO = {"subject": {"reference": "Patient/ada"}}
FUROSEMIDE = {"medicationCodeableConcept": concept(RXNORM, "4603")}


def given(**elements):
    return {"resourceType": "MedicationAdministration", "id": "m", **WHO, **FUROSEMIDE} | elements


def said(**elements):
    return {"resourceType": "MedicationStatement", "id": "m", **WHO, **FUROSEMIDE} | elements


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "draft"])
def test_order_that_was_withdrawn_leaves_nothing(status):
    assert events(order("m", 0, status=status)) == []


@pytest.mark.parametrize(
    "elements", [{"doNotPerform": True}, {"intent": "plan"}, {"subject": None}]
)
def test_what_is_no_order_leaves_nothing(elements):
    assert events(order("m", 0, **elements)) == []


@pytest.mark.parametrize("status", ["not-done", "entered-in-error"])
def test_dose_that_was_not_given_leaves_nothing(status):
    assert events(given(status=status, effectiveDateTime=clock(0))) == []


@pytest.mark.parametrize("status", ["not-taken", "entered-in-error"])
def test_drug_that_is_not_taken_leaves_nothing(status):
    assert events(said(status=status, dateAsserted=clock(0))) == []


@pytest.mark.parametrize("code", ["discharge", "outpatient", "community"])
def test_prescription_to_take_home_is_told_by_its_category(code):
    (one,) = events(order("m", 0, category=[concept(CATEGORY, code)]))
    assert one.kind == "discharge-prescription"


def test_any_other_order_is_for_the_stay():
    (one,) = events(order("m", 0, category=[concept(CATEGORY, "inpatient")]))
    assert (one.kind, one.time, one.known_at) == ("medication-order", moment(0), moment(0))


@pytest.mark.parametrize(
    ("supply", "days"),
    [
        ({"value": 30, "code": "d"}, 30),
        ({"value": 2, "unit": "weeks"}, 14),
        ({"value": 1, "unit": "mo"}, 30),
        ({"value": 48, "code": "h"}, 2),
    ],
)
def test_supply_tells_how_long_a_prescription_lasts(supply, days):
    (one,) = events(order("m", 0, dispenseRequest={"expectedSupplyDuration": supply}))
    assert one.end == moment(days)


@pytest.mark.parametrize(
    "supply", [{"value": 3, "unit": "fortnights"}, {"unit": "d"}, {"value": 3}]
)
def test_supply_in_an_unknown_unit_is_not_guessed(supply):
    (one,) = events(order("m", 0, dispenseRequest={"expectedSupplyDuration": supply}))
    assert one.end is None


def test_order_without_a_date_begins_with_its_validity():
    period = {"start": clock(1), "end": clock(4)}
    undated = order("m", 0, authoredOn=None, dispenseRequest={"validityPeriod": period})
    (one,) = events(undated)
    assert (one.time, one.end) == (moment(1), moment(4))


def test_dose_over_a_period_is_known_from_its_start():
    period = {"start": clock(1), "end": clock(2)}
    (one,) = events(given(status="completed", effectivePeriod=period))
    assert (one.kind, one.time, one.end) == ("medication-administration", moment(1), moment(2))
    assert one.known_at == moment(1)


def test_statement_is_known_when_it_was_made():
    (one,) = events(said(status="active", effectiveDateTime="2023-12-01", dateAsserted=clock(2)))
    assert (one.kind, one.known_at) == ("medication-statement", moment(2))
    assert one.time < moment(0)


def test_category_of_a_dose_may_be_one_concept_or_many():
    assert len(events(given(category=concept(CATEGORY, "inpatient")))) == 1
    assert len(events(given(category=[concept(CATEGORY, "inpatient")]))) == 1


@pytest.mark.parametrize(
    "contained",
    [
        [],
        [{"resourceType": "Medication", "id": "other"}],
        [{"resourceType": "Medication", "id": "drug", "code": 5}],
        [{"resourceType": "Organization", "id": 5}],
        [7],
    ],
)
def test_contained_drug_that_is_not_there_is_counted(contained):
    record = order("m", 0, contained=contained, medicationReference={"reference": "#drug"})
    record["medicationCodeableConcept"] = None
    found, questionable = mapped(record)
    assert found == []
    assert questionable == {("MedicationRequest.medicationReference", "not contained"): 1}


def test_order_that_names_no_drug_leaves_nothing():
    assert events(order("m", 0, medicationCodeableConcept={})) == []
    display = {"medicationReference": {"display": "water tablet"}}
    assert events(order("m", 0, medicationCodeableConcept=None, **display)) == []


def test_identifier_names_the_drug_only_where_the_site_says_so():
    name = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-medication-name"
    drug = {
        "resourceType": "Medication",
        "id": "d",
        "identifier": [{"system": name, "value": "Furosemide"}, {"system": "urn:x", "value": "9"}],
    }
    record = order("m", 0, medicationReference={"reference": "Medication/d"})
    record["medicationCodeableConcept"] = None
    codes = {event.code for event in timeline(record, drug, profile="mimic").events}
    assert codes == {"mimic-drug-name|Furosemide"}
    assert {event.code for event in timeline(record, drug).events} == {"Medication/d"}


def test_later_version_of_a_drug_counts_wherever_it_stands():
    def drug(code, day):
        return {
            "resourceType": "Medication",
            "id": "d",
            "meta": {"lastUpdated": clock(day)},
            "code": concept(RXNORM, code),
        }

    record = order("m", 0, medicationReference={"reference": "Medication/d"})
    record["medicationCodeableConcept"] = None
    for versions in ([drug("1", 0), drug("2", 5)], [drug("2", 5), drug("1", 0)]):
        assert [e.code for e in timeline(record, *versions).events] == ["RXNORM|2"]


def test_mixture_is_its_ingredients():
    known = {
        "Medication/mix": ("Medication/a", "Medication/b", "RXNORM|3"),
        "Medication/a": ("RXNORM|1", "RXNORM|3"),
        "Medication/b": (),
    }
    assert drug_codes("Medication/mix", known) == ("RXNORM|1", "RXNORM|3", "Medication/b")
    assert drug_codes("Medication/b", known) == ("Medication/b",)
    assert drug_codes("Medication/z", known) == ("Medication/z",)


def test_order_is_no_observation():
    assert {e.kind for e in timeline(order("m", 0), lab("a", 0)).events} == {
        "medication-order",
        "observation",
    }
