"""Patient: birth, death and who they are."""

import pytest
from records import by_code, events, mapped, moment, patient

from fhir_mappings.events import DAY


def test_demographics_are_known_at_birth():
    found = by_code(events(patient()))
    assert set(found) == {"MEDS_BIRTH", "readmit/sex|female"}
    assert all(event.known_at == event.time for event in found.values())


def test_death_by_date_may_have_been_at_any_moment_of_that_day():
    death = by_code(events(patient(deceasedDateTime="2024-03-01")))["MEDS_DEATH"]
    assert death.time == moment()
    assert death.known_at == moment(1) - 1


def test_death_without_a_date_tells_nothing_about_time():
    assert "MEDS_DEATH" not in by_code(events(patient(deceasedBoolean=True)))


def test_death_on_the_day_of_birth_is_possible():
    found = by_code(events(patient(birthDate="2024-03-01", deceasedDateTime="2024-03-01")))
    assert found["MEDS_DEATH"].time == found["MEDS_BIRTH"].time


@pytest.mark.parametrize("died", ["1949-12-31", "1949", "1949-12-31T23:00:00Z"])
def test_death_before_birth_is_counted_and_left_out(died):
    found, questionable = mapped(patient(deceasedDateTime=died))
    assert "MEDS_DEATH" not in by_code(found)
    assert questionable == {("Patient.deceasedDateTime", "before birth"): 1}


def test_year_of_birth_alone_is_taken_at_its_first_day():
    birth = by_code(events(patient(birthDate="1950")))["MEDS_BIRTH"]
    assert (moment() - birth.time) // DAY == 27_088
    assert birth.known_at == birth.time


def test_every_language_and_only_the_category_of_race_is_kept():
    race = {
        "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
        "extension": [
            {"url": "detailed", "valueCoding": {"code": "2108-9"}},
            {"url": "ombCategory", "valueCoding": {"code": "2106-3"}},
        ],
    }
    spoken = [
        {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}}
        for code in ("cy", "en")
    ]
    found = by_code(events(patient(extension=[race], communication=spoken)))
    assert {"readmit/race|2106-3", "readmit/language|cy", "readmit/language|en"} <= set(found)


def test_name_address_and_identifiers_leave_nothing():
    private = patient(
        name=[{"family": "Fictitious"}], address=[{"city": "Nowhere"}], identifier=[{"value": "1"}]
    )
    assert events(private) == events(patient())
