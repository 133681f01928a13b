"""For whom a score means something."""

import pytest
from records import (
    concept,
    condition,
    encounter,
    lab,
    left_for,
    moment,
    patient,
    timeline,
)

from fhir_mappings.consent import OptOuts
from fhir_mappings.eligibility import REASONS, principal_codes, why_not
from fhir_mappings.features.engine import View

ADMIT = "http://terminology.hl7.org/CodeSystem/admit-source"
FAR = moment(9000)


def reason(*resources, as_of=FAR, who=None):
    whole = timeline(patient() if who is None else who, *resources)
    found = why_not(View(whole, whole.stays[-1], as_of), "scoring", OptOuts())
    if found is not None:
        assert found.sentence == REASONS[found.code]
    return None if found is None else found.code


def stay(**elements):
    return encounter("e", 0, 4, **elements)


def ranked(icd10):
    """The stay with one diagnosis, ranked first."""
    diagnosis = {"condition": {"reference": "Condition/c"}, "rank": 1}
    return stay(diagnosis=[diagnosis]), condition("c", icd10, stay="e")


def test_adult_discharged_home_is_inside():
    assert reason(stay(hospitalization=left_for("home")), lab("a", 1)) is None


@pytest.mark.parametrize("born", [None, "1890-01-01", "2030-01-01", "sometime"])
def test_patient_of_unknown_age_is_outside(born):
    assert reason(stay(), lab("a", 1), who=patient(birthDate=born)) == "unknown_age"


@pytest.mark.parametrize(
    ("born", "code"), [("2006-03-03", "child"), ("2006-02-28", None), ("2020-01-01", "child")]
)
def test_child_is_outside_until_the_eighteenth_birthday(born, code):
    assert reason(stay(), lab("a", 1), who=patient(birthDate=born)) == code


@pytest.mark.parametrize(
    ("disposition", "code"),
    [
        ("exp", "died"),
        ("aadvice", "against_advice"),
        ("other-hcf", "transferred_out"),
        ("hosp", "hospice"),
        ("home", None),
        ("snf", None),
        ("rehab", None),
        ("long", None),
        ("psy", None),
    ],
)
def test_way_the_stay_ended(disposition, code):
    assert reason(stay(hospitalization=left_for(disposition)), lab("a", 1)) == code


@pytest.mark.parametrize(
    ("died", "code"),
    [
        ("2024-03-04T20:00:00Z", "died"),
        ("2024-03-05", "died"),
        ("2024-03-05T00:00:00Z", "died"),
        ("2024-03-06", None),
        ("2024-05-01", None),
    ],
)
def test_death_by_the_end_of_the_stay_is_death_in_hospital(died, code):
    assert reason(stay(), lab("a", 1), who=patient(deceasedDateTime=died)) == code


def test_death_that_lies_ahead_is_not_known():
    who = patient(deceasedDateTime="2024-03-03T00:00:00Z")
    assert reason(stay(), lab("a", 0), who=who, as_of=moment(1)) is None


@pytest.mark.parametrize(
    ("icd10", "code"),
    [("O80", "obstetric"), ("Z37.0", "obstetric"), ("I50.9", None), ("Z38.00", "newborn")],
)
def test_obstetric_stay_is_outside_by_any_of_its_codes(icd10, code):
    assert reason(stay(), condition("c", icd10, stay="e")) == code


def test_newborn_is_outside_before_it_is_a_child():
    born = patient(birthDate="2024-03-01")
    admitted = {"admitSource": concept(ADMIT, "born")}
    assert reason(stay(hospitalization=admitted), who=born) == "newborn"
    assert reason(stay(), condition("c", "Z38.00", stay="e"), who=born) == "newborn"


@pytest.mark.parametrize(
    ("icd10", "code"),
    [("F20.9", "psychiatric"), ("Z51.11", "chemotherapy"), ("I50.9", None), ("Z51.89", None)],
)
def test_purpose_is_told_by_the_principal_diagnosis(icd10, code):
    assert reason(*ranked(icd10)) == code


@pytest.mark.parametrize("icd10", ["F20.9", "Z51.11"])
def test_secondary_diagnosis_does_not_tell_the_purpose(icd10):
    first, principal = ranked("I50.9")
    assert reason(first, principal, condition("d", icd10, stay="e")) is None


def test_reason_for_the_encounter_stands_in_for_a_missing_rank():
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    admitted = stay(reasonCode=[concept(icd, "F20.9")])
    assert reason(admitted, lab("a", 1)) == "psychiatric"


def test_psychiatric_service_is_outside():
    assert reason(stay(serviceType={"text": "Psychiatry"}), lab("a", 1)) == "psychiatric"


def test_rank_of_another_stays_diagnosis_is_not_the_principal_one():
    earlier = encounter(
        "x", -50, -45, diagnosis=[{"condition": {"reference": "Condition/d"}, "rank": 1}]
    )
    whole = timeline(patient(), earlier, condition("d", "F20.9", stay="x"), *ranked("I50.9"))
    assert principal_codes(View(whole, whole.stays[-1], FAR)) == {"ICD10CM|I509"}
    assert reason(earlier, condition("d", "F20.9", stay="x"), *ranked("I50.9")) is None


def test_stay_without_any_clinical_record_is_outside():
    assert reason(stay()) == "too_little_data"
    assert reason(stay(), lab("a", 9), as_of=moment(4)) == "too_little_data"


def test_code_that_is_not_known_yet_does_not_put_the_stay_outside():
    coded_later = condition("c", "O80", stay="e", recordedDate="2024-03-09T10:00:00Z")
    assert reason(stay(), coded_later, lab("a", 1), as_of=moment(4)) is None
    assert reason(stay(), coded_later, lab("a", 1)) == "obstetric"


def test_sentences_are_for_people():
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in REASONS.values())
