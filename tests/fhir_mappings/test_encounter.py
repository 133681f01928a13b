"""Encounter: its kind, its period and its facets."""

import pytest
from records import by_code, concept, encounter, events, left_for, mapped, moment, urgency

from fhir_mappings.profiles import EncounterRule, SiteProfile

HL7 = "http://terminology.hl7.org/CodeSystem/"
MIMIC_STAY = {
    "priority": urgency("UR"),
    "serviceType": concept("urn:x", "MED"),
    "location": [{"location": {"reference": "Location/l1"}}],
}


def kind(resource, profile="default"):
    return [
        event.code.removeprefix("readmit/encounter|")
        for event in events(resource, profile)
        if event.code.startswith("readmit/encounter|")
    ]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("IMP", "inpatient"),
        ("ACUTE", "inpatient"),
        ("NONAC", "inpatient"),
        ("OBSENC", "observation"),
        ("EMER", "emergency"),
        ("AMB", "outpatient"),
        ("VR", "outpatient"),
        ("XYZ", "other"),
    ],
)
def test_class_tells_the_kind(code, meaning):
    assert kind(encounter("e", 0, 1, kind=code)) == [meaning]


@pytest.mark.parametrize("code", [None, {}, {"display": "inpatient"}])
def test_encounter_without_a_class_code_is_other(code):
    assert kind(encounter("e", 0, 1) | {"class": code}) == ["other"]


@pytest.mark.parametrize(
    ("code", "elements", "meaning"),
    [
        ("AMB", MIMIC_STAY, "inpatient"),
        ("EMER", MIMIC_STAY, "inpatient"),
        ("SS", MIMIC_STAY, "inpatient"),
        ("OBSENC", MIMIC_STAY, "observation"),
        ("EMER", MIMIC_STAY | {"partOf": {"reference": "Encounter/e0"}}, "emergency"),
        ("EMER", {}, "emergency"),
        ("ACUTE", {"partOf": {"reference": "Encounter/e0"}}, "unit"),
        ("AMB", {}, "outpatient"),
        ("AMB", {**MIMIC_STAY, "location": []}, "outpatient"),
    ],
)
def test_mimic_tells_stays_by_their_elements(code, elements, meaning):
    assert kind(encounter("e", 0, 1, kind=code, **elements), "mimic") == [meaning]


def test_first_rule_that_fits_decides():
    rules = (
        EncounterRule("observation", types=("SNOMED|1",)),
        EncounterRule("other", classes=("IMP",)),
    )
    site = SiteProfile("ward", "A ward.", encounters=rules)
    watched = encounter("e", 0, 1, type=[concept("http://snomed.info/sct", "1")])
    assert kind(watched, site) == ["observation"]
    assert kind(encounter("e", 0, 1), site) == ["other"]
    assert kind(encounter("e", 0, 1, kind="EMER"), site) == ["emergency"]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "planned", "arrived"])
def test_encounter_that_did_not_begin_leaves_nothing(status):
    assert events(encounter("e", 0, 1, status=status)) == []


@pytest.mark.parametrize("status", ["finished", "onleave", "unknown", None])
def test_encounter_that_took_place_keeps_its_period(status):
    stay = by_code(events(encounter("e", 0, 3, status=status)))["readmit/encounter|inpatient"]
    assert (stay.time, stay.end, stay.known_at) == (moment(0), moment(3), moment(0))


def test_encounter_in_progress_has_no_end_even_where_one_is_foreseen():
    stay = by_code(events(encounter("e", 0, 3, status="in-progress")))
    assert stay["readmit/encounter|inpatient"].end is None


def test_disposition_belongs_to_the_end_and_the_way_in_to_the_start():
    hospitalization = left_for("home") | {"admitSource": concept(HL7 + "admit-source", "emd")}
    found = by_code(events(encounter("e", 0, 3, hospitalization=hospitalization)))
    assert found["readmit/disposition|home"].time == moment(3)
    assert found["readmit/disposition|home"].known_at == moment(3)
    assert found["readmit/admission-source|emergency"].time == moment(0)


def test_facet_that_no_table_knows_is_unknown_and_keeps_its_code():
    found = by_code(events(encounter("e", 0, 1, priority=concept("urn:ward", "SOON"))))
    assert found["readmit/urgency|unknown"].text == "urn:ward|SOON"


def test_facet_without_code_and_text_is_absent():
    found = by_code(events(encounter("e", 0, 1, priority={}, hospitalization={})))
    assert set(found) == {"readmit/encounter|inpatient"}


def test_end_before_start_is_counted_and_left_out():
    found, questionable = mapped(encounter("e", 3, 0))
    assert by_code(found)["readmit/encounter|inpatient"].end is None
    assert questionable == {("Encounter.period", "ends before it starts"): 1}


def test_end_by_date_on_the_day_of_the_start_is_not_before_it():
    period = {"start": "2024-03-01T10:00:00Z", "end": "2024-03-01"}
    found, questionable = mapped(encounter("e", 0, 1, period=period))
    stay = by_code(found)["readmit/encounter|inpatient"]
    assert stay.end == stay.time
    assert questionable == {}


@pytest.mark.parametrize("element", ["start", "end"])
def test_absurd_year_is_counted_and_left_out(element):
    period = {"start": "2024-03-01T10:00:00Z", "end": "2024-03-02T10:00:00Z"}
    _, questionable = mapped(encounter("e", 0, 1, period=period | {element: "9999-12-31"}))
    assert questionable == {("Encounter.period", "no FHIR date, or an absurd year"): 1}


def test_encounter_without_a_period_is_undated():
    stay = by_code(events(encounter("e", 0, 1, period=None)))["readmit/encounter|inpatient"]
    assert (stay.time, stay.end, stay.known_at) == (None, None, None)


def test_encounter_of_nobody_leaves_nothing():
    assert events(encounter("e", 0, 1, subject=None)) == []
