"""LACE and HOSPITAL through the engine: from coded records to points, with nothing faked."""

from datetime import UTC, datetime

from fhir_mappings.clinical_scores import ClinicalScore, ScoreItem, hospital, lace
from fhir_mappings.concepts import load_concepts
from fhir_mappings.events import DAY, HOUR, SECOND, Event, Kind
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import load_profile
from fhir_mappings.timeline import Timeline

ADMISSION = int(datetime(2026, 3, 2, 10, 0, tzinfo=UTC).timestamp()) * SECOND


def event(kind: Kind, code: str, source: str, days: float, **more: object) -> Event:
    """A record ``days`` after the admission, known at once."""
    time = ADMISSION + int(days * DAY)
    given = Event(
        subject="p1",
        time=time,
        end=None,
        known_at=time,
        kind=kind,
        code=code,
        value=None,
        unit=None,
        text=None,
        encounter=None,
        source=source,
        updated=0,
        utc_offset=0,
        dated_by="record",
    )
    return given._replace(**more)


def encounter(
    name: str, kind: str, start: float, length: float, facets: tuple[str, ...] = ()
) -> list[Event]:
    end = ADMISSION + int((start + length) * DAY)
    codes = (f"readmit/encounter|{kind}", *(f"readmit/{facet}" for facet in facets))
    return [
        event("encounter", code, f"Encounter/{name}", start, end=end, encounter=name)
        for code in codes
    ]


def diagnosis(name: str, code: str, days: float = -40) -> Event:
    return event("diagnosis", code, f"Condition/{name}", days)


def laboratory(name: str, code: str, value: float, unit: str, days: float) -> Event:
    return event("observation", code, f"Observation/{name}", days, value=value, unit=unit)


RECORDS = [
    *encounter("index", "inpatient", 0, 6, ("urgency|emergency", "service|medical oncology")),
    # Led to the stay, so not counted by LACE.
    *encounter("door", "emergency", -4 / 24, 4 / 24),
    *encounter("visit", "emergency", -20, 0.2),
    *encounter("too-early", "emergency", -190, 0.2),
    *encounter("earlier-1", "inpatient", -60, 4),
    *encounter("earlier-2", "inpatient", -200, 4),
    *encounter("years-ago", "inpatient", -500, 4),
    diagnosis("heart", "ICD10CM|I509"),
    # Type 2 diabetes, with and without complications: the severer form counts alone.
    diagnosis("diabetes", "ICD10CM|E119"),
    diagnosis("diabetic-kidney", "ICD10CM|E112"),
    laboratory("hb-1", "LOINC|718-7", 13.0, "g/dL", 0.1),
    # The last one, in another unit: 11.2 g/dL.
    laboratory("hb-2", "LOINC|718-7", 112.0, "g/L", 5.5),
    laboratory("na-1", "LOINC|2951-2", 131.0, "mmol/L", 0.1),
    laboratory("na-2", "LOINC|2947-0", 137.0, "meq/L", 5.5),
    event("procedure", "CPT|43239", "Procedure/scope", 2),
]


def view_at(days: float, records: list[Event] = RECORDS) -> View:
    timeline = Timeline("p1", records, load_concepts(), load_profile("default"))
    stay = next(stay for stay in timeline.stays if stay.name == "index")
    return View(timeline, stay, ADMISSION + int(days * DAY))


def points(score: ClinicalScore) -> dict[str, int]:
    return {item.letter: item.points for item in score.items}


def item(score: ClinicalScore, letter: str) -> ScoreItem:
    return next(item for item in score.items if item.letter == letter)


def test_lace_at_discharge() -> None:
    """Six days 4; emergency 3; heart failure 2 + diabetes with damage 2 = 4 -> 5; one visit 1."""
    score = lace(view_at(6))
    assert points(score) == {"L": 4, "A": 3, "C": 5, "E": 1}
    assert (score.points, score.band) == (13, "high")
    assert item(score, "E").evidence == ("Encounter/visit",)
    assert item(score, "C").evidence == ("Condition/heart", "Condition/diabetic-kidney")


def test_hospital_at_discharge() -> None:
    """Hb 11.2 1; oncology 2; Na 137 0; procedure 1; urgent 1; two admissions 2; six days 2."""
    score = hospital(view_at(6))
    assert [each.points for each in score.items] == [1, 2, 0, 1, 1, 2, 2]
    assert (score.points, score.band) == (9, "high")
    assert item(score, "H").shown == "11.2 g/dL"
    assert item(score, "S").evidence == ("Observation/na-2",)
    assert set(item(score, "A").evidence) == {"Encounter/earlier-1", "Encounter/earlier-2"}


def test_a_score_during_the_stay_sees_nothing_of_what_follows() -> None:
    score = hospital(view_at(1))
    assert item(score, "H").shown == "13 g/dL"
    assert item(score, "S").shown == "131 mmol/L"
    assert item(score, "L").shown == "1 day"
    assert item(score, "P").points == 0


def test_a_diagnosis_coded_after_discharge_does_not_count_at_discharge() -> None:
    coded = [
        record._replace(known_at=ADMISSION + 10 * DAY) if record.kind == "diagnosis" else record
        for record in RECORDS
    ]
    assert item(lace(view_at(6, coded)), "C").points == 0
    assert item(lace(view_at(10, coded)), "C").points == 5


def test_a_value_without_a_unit_is_missing_not_guessed() -> None:
    records = [
        record._replace(unit=None) if record.source.startswith("Observation/hb") else record
        for record in RECORDS
    ]
    assert item(hospital(view_at(6, records)), "H").missing


def test_a_late_evening_discharge_is_the_same_day_by_the_hospitals_clock() -> None:
    """In at 00:00 and out at 20:00 local time six days later; in UTC the seventh day has begun."""
    records = [record._replace(utc_offset=-600) for record in RECORDS]
    discharge = [
        record._replace(end=ADMISSION + 6 * DAY + 20 * HOUR)
        if record.encounter == "index"
        else record
        for record in records
    ]
    assert item(lace(view_at(7, discharge)), "L").shown == "6 days"
