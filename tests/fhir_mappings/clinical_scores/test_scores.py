"""LACE and HOSPITAL against their published point tables, worked by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.clinical_scores import ClinicalScore, ScoreItem, hospital, lace
from fhir_mappings.clinical_scores.lace import COMORBIDITIES
from fhir_mappings.events import DAY, HOUR, SECOND, Event

ADMISSION = int(datetime(2026, 3, 2, 10, 0, tzinfo=UTC).timestamp()) * SECOND


@dataclass(frozen=True)
class FakeStay:
    encounters: tuple[str, ...] = ("stay-1",)
    start: int = ADMISSION
    end: int | None = ADMISSION + 3 * DAY
    utc_offset: int | None = 0
    urgency: str | None = "elective"
    admission_source: str | None = "physician"
    services: tuple[str, ...] = ("internal medicine",)
    emergency_visit: str | None = None


@dataclass(frozen=True)
class FakeView:
    """Answers ``select`` from a table, as the engine does from a timeline."""

    stay: FakeStay = FakeStay()
    events: Mapping[tuple[str, str], Sequence[Event]] = field(default_factory=dict)
    as_of: int = ADMISSION + 400 * DAY

    def select(self, of: str, window: str) -> Sequence[Event]:
        return self.events.get((of, window), ())


def record(source: str, value: float | None = None, *, days: float = 0) -> Event:
    """A record ``days`` after admission."""
    time = ADMISSION + int(days * DAY)
    return Event(
        subject="p1",
        time=time,
        end=None,
        known_at=time,
        kind="observation",
        code="x|y",
        value=value,
        unit=None,
        text=None,
        encounter=None,
        source=source,
        updated=0,
        utc_offset=0,
        dated_by="record",
    )


def records(prefix: str, number: int) -> list[Event]:
    return [record(f"{prefix}/{index}", days=-index - 1) for index in range(number)]


def stay_of(days: int, **changes: object) -> FakeStay:
    return FakeStay(end=ADMISSION + days * DAY, **changes)  # type: ignore[arg-type]  # test data


def view_of(
    *,
    days: int = 3,
    urgency: str | None = "elective",
    conditions: Sequence[str] = (),
    emergency_visits: int = 0,
    admissions: int = 0,
    procedures: int = 0,
    haemoglobin: float | None = None,
    sodium: float | None = None,
    service: str | None = "internal medicine",
) -> FakeView:
    """A patient described as the score tables describe one."""
    events: dict[tuple[str, str], Sequence[Event]] = {
        (concept, "ever"): [record(f"Condition/{concept}", days=-30)] for concept in conditions
    }
    events["stays.emergency", "six_months_before"] = records("Encounter", emergency_visits)
    events["stays.inpatient", "year_before"] = records("Encounter", admissions)
    events["kind:procedure", "stay"] = records("Procedure", procedures)
    if haemoglobin is not None:
        events["lab.haemoglobin", "stay"] = [record("Observation/hb", haemoglobin, days=2)]
    if sodium is not None:
        events["lab.sodium", "stay"] = [record("Observation/na", sodium, days=2)]
    services = () if service is None else (service,)
    return FakeView(stay=stay_of(days, urgency=urgency, services=services), events=events)


def item(score: ClinicalScore, letter: str) -> ScoreItem:
    return next(item for item in score.items if item.letter == letter)


# --- LACE


@pytest.mark.parametrize(
    ("days", "points"),
    [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (6, 4), (7, 5), (13, 5), (14, 7), (60, 7)],
)
def test_lace_length_of_stay(days: int, points: int) -> None:
    assert item(lace(view_of(days=days)), "L").points == points


@pytest.mark.parametrize(
    ("urgency", "points"), [("emergency", 3), ("urgent", 3), ("elective", 0), ("routine", 0)]
)
def test_lace_acute_admission(urgency: str, points: int) -> None:
    assert item(lace(view_of(urgency=urgency)), "A").points == points


@pytest.mark.parametrize(("visits", "points"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (9, 4)])
def test_lace_emergency_visits(visits: int, points: int) -> None:
    assert item(lace(view_of(emergency_visits=visits)), "E").points == points


@pytest.mark.parametrize(
    ("conditions", "points"),
    [
        ((), 0),
        (("myocardial_infarction",), 1),
        (("cerebrovascular_disease",), 1),
        (("peripheral_vascular_disease",), 1),
        (("diabetes_without_complication",), 1),
        (("congestive_heart_failure",), 2),
        (("diabetes_with_complication",), 2),
        (("chronic_pulmonary_disease",), 2),
        (("mild_liver_disease",), 2),
        (("malignancy",), 2),
        (("dementia",), 3),
        (("connective_tissue_disease",), 3),
        (("myocardial_infarction", "cerebrovascular_disease"), 2),
        (("myocardial_infarction", "congestive_heart_failure"), 3),
        # From a sum of four upwards the item gives five points.
        (("congestive_heart_failure", "chronic_pulmonary_disease"), 5),
        (("moderate_severe_liver_disease",), 5),
        (("renal_disease",), 5),
        (("hiv_aids",), 5),
        (("metastatic_tumour",), 5),
        # Not conditions of LACE, though of Charlson.
        (("peptic_ulcer_disease", "hemiplegia"), 0),
        # The severer form of a disease counts alone: 2, not 1 + 2.
        (("diabetes_without_complication", "diabetes_with_complication"), 2),
    ],
)
def test_lace_comorbidity(conditions: tuple[str, ...], points: int) -> None:
    view = view_of(conditions=[f"charlson.{condition}" for condition in conditions])
    assert item(lace(view), "C").points == points


def test_lace_of_a_worked_patient() -> None:
    """Five days (4), urgent (3), heart failure and lung disease (2 + 2 = 4 -> 5), one visit (1)."""
    score = lace(
        view_of(
            days=5,
            urgency="emergency",
            conditions=["charlson.congestive_heart_failure", "charlson.chronic_pulmonary_disease"],
            emergency_visits=1,
        )
    )
    assert [item.points for item in score.items] == [4, 3, 5, 1]
    assert (score.points, score.maximum, score.band) == (13, 19, "high")
    assert item(score, "C").shown == "congestive heart failure, chronic pulmonary disease"
    assert item(score, "C").evidence == (
        "Condition/charlson.congestive_heart_failure",
        "Condition/charlson.chronic_pulmonary_disease",
    )
    assert item(score, "E").shown == "1 visit"
    assert item(score, "E").evidence == ("Encounter/0",)
    assert item(score, "L").evidence == ("Encounter/stay-1",)


@pytest.mark.parametrize(
    ("days", "urgency", "visits", "points", "band"),
    [
        (4, "elective", 0, 4, "low"),
        (4, "elective", 1, 5, "moderate"),
        (4, "emergency", 2, 9, "moderate"),
        (4, "emergency", 3, 10, "high"),
    ],
)
def test_lace_bands(days: int, urgency: str, visits: int, points: int, band: str) -> None:
    score = lace(view_of(days=days, urgency=urgency, emergency_visits=visits))
    assert (score.points, score.band) == (points, band)


def test_lace_reaches_its_maximum_and_no_more() -> None:
    every = [condition.concept for condition in COMORBIDITIES]
    score = lace(view_of(days=99, urgency="urgent", conditions=every, emergency_visits=50))
    assert score.points == score.maximum == 19


# --- HOSPITAL


@pytest.mark.parametrize(("value", "points"), [(11.9, 1), (12.0, 0), (15.0, 0)])
def test_hospital_haemoglobin(value: float, points: int) -> None:
    assert item(hospital(view_of(haemoglobin=value)), "H").points == points


@pytest.mark.parametrize(("value", "points"), [(134.9, 1), (135.0, 0), (150.0, 0)])
def test_hospital_sodium(value: float, points: int) -> None:
    assert item(hospital(view_of(sodium=value)), "S").points == points


def test_hospital_takes_the_value_nearest_to_discharge() -> None:
    values = [
        record("Observation/2", 136, days=2),
        record("Observation/1", 128, days=1),
        record("Observation/3", None, days=3),
    ]
    score = hospital(FakeView(events={("lab.sodium", "stay"): values}))
    assert item(score, "S").points == 0
    assert item(score, "S").shown == "136 mmol/L"
    assert item(score, "S").evidence == ("Observation/2",)


@pytest.mark.parametrize("letter", ["H", "S"])
def test_hospital_flags_what_was_not_measured_and_gives_it_no_point(letter: str) -> None:
    missing = item(hospital(view_of()), letter)
    assert (missing.points, missing.missing, missing.shown) == (0, True, "not measured")


@pytest.mark.parametrize(
    ("service", "points", "missing"),
    [
        ("medical oncology", 2, False),
        ("Oncology", 2, False),
        ("cardiology", 0, False),
        (None, 0, True),
    ],
)
def test_hospital_oncology(service: str | None, points: int, missing: bool) -> None:
    found = item(hospital(view_of(service=service)), "O")
    assert (found.points, found.missing) == (points, missing)


def test_hospital_asks_for_the_service_of_the_discharge() -> None:
    moved = FakeStay(services=("oncology", "rehabilitation"))
    assert item(hospital(FakeView(stay=moved)), "O").points == 0


@pytest.mark.parametrize(("procedures", "points"), [(0, 0), (1, 1), (7, 1)])
def test_hospital_procedure(procedures: int, points: int) -> None:
    assert item(hospital(view_of(procedures=procedures)), "P").points == points


@pytest.mark.parametrize(("urgency", "points"), [("emergency", 1), ("urgent", 1), ("elective", 0)])
def test_hospital_urgent_admission(urgency: str, points: int) -> None:
    assert item(hospital(view_of(urgency=urgency)), "I").points == points


@pytest.mark.parametrize(
    ("version", "admissions", "points"),
    [
        ("2013", 0, 0),
        ("2013", 1, 2),
        ("2013", 5, 2),
        ("2013", 6, 5),
        ("2016", 0, 0),
        ("2016", 1, 0),
        ("2016", 2, 2),
        ("2016", 5, 2),
        ("2016", 6, 5),
        ("simplified 2017", 1, 0),
        ("simplified 2017", 2, 2),
        ("simplified 2017", 6, 5),
    ],
)
def test_hospital_admissions_differ_by_version(version: str, admissions: int, points: int) -> None:
    score = hospital(view_of(admissions=admissions), version)  # type: ignore[arg-type]  # a table
    assert score.version == version
    assert item(score, "A").points == points


@pytest.mark.parametrize(("days", "points"), [(0, 0), (4, 0), (5, 2), (30, 2)])
def test_hospital_length_of_stay(days: int, points: int) -> None:
    assert item(hospital(view_of(days=days)), "L").points == points


@pytest.mark.parametrize(
    ("admissions", "days", "haemoglobin", "points", "band"),
    [
        (2, 5, 13.0, 4, "low"),
        (2, 5, 11.0, 5, "intermediate"),
        (6, 3, 11.0, 6, "intermediate"),
        (6, 5, 13.0, 7, "high"),
    ],
)
def test_hospital_bands(
    admissions: int, days: int, haemoglobin: float, points: int, band: str
) -> None:
    score = hospital(view_of(admissions=admissions, days=days, haemoglobin=haemoglobin))
    assert (score.points, score.band) == (points, band)


SICKEST = {
    "days": 20,
    "urgency": "emergency",
    "admissions": 9,
    "procedures": 2,
    "haemoglobin": 7.0,
    "sodium": 120.0,
    "service": "oncology",
}


@pytest.mark.parametrize(
    ("version", "maximum", "letters"),
    [("2013", 13, "HOSPIAL"), ("2016", 13, "HOSPIAL"), ("simplified 2017", 12, "HOSIAL")],
)
def test_hospital_reaches_its_maximum_and_no_more(version: str, maximum: int, letters: str) -> None:
    score = hospital(view_of(**SICKEST), version)  # type: ignore[arg-type]  # a table
    assert score.points == score.maximum == maximum
    assert "".join(item.letter for item in score.items) == letters
    assert score.band == "high"


def test_only_the_simplified_version_counts_a_diagnosis_of_cancer() -> None:
    events = {("cancer.any", "year_and_stay"): [record("Condition/c", days=-3)]}
    view = FakeView(events=events)
    assert item(hospital(view), "O").points == 0
    simplified = hospital(view, "simplified 2017")
    assert item(simplified, "O").points == 2
    assert item(simplified, "O").evidence == ("Condition/c",)


def test_the_simplified_version_is_high_from_five() -> None:
    low = view_of(admissions=2, days=5)
    high = view_of(admissions=2, days=5, sodium=130)
    assert hospital(low, "simplified 2017").band == "low"
    assert hospital(high, "simplified 2017").band == "high"


# --- What both share


@pytest.mark.parametrize("score", [lace, hospital])
def test_a_record_with_several_codings_counts_once(score: object) -> None:
    visit = record("Encounter/7", days=-3)
    view = FakeView(
        events={
            ("stays.emergency", "six_months_before"): [visit, visit],
            ("stays.inpatient", "year_before"): [visit, visit],
        }
    )
    letter = "E" if score is lace else "A"
    assert item(score(view), letter).shown.startswith("1 ")  # type: ignore[operator]  # a function


def test_days_are_calendar_days_of_the_hospitals_own_clock() -> None:
    """In from 23:30 to 00:30 local time is one day; the same hour by UTC dates would be none."""
    admission = int(datetime(2026, 3, 2, 18, 30, tzinfo=UTC).timestamp()) * SECOND
    kolkata = FakeStay(start=admission, end=admission + HOUR, utc_offset=330)
    assert item(lace(FakeView(stay=kolkata)), "L").points == 0
    lisbon = FakeStay(start=admission + 5 * HOUR, end=admission + 6 * HOUR, utc_offset=None)
    assert item(lace(FakeView(stay=lisbon)), "L").points == 1
    karachi = FakeStay(start=admission, end=admission + HOUR, utc_offset=300)
    assert item(lace(FakeView(stay=karachi)), "L").points == 1


def test_a_patient_still_in_hospital_is_scored_up_to_now() -> None:
    view = FakeView(stay=FakeStay(end=None), as_of=ADMISSION + 4 * DAY)
    assert item(lace(view), "L").shown == "4 days"
    early = FakeView(stay=FakeStay(end=ADMISSION + 9 * DAY), as_of=ADMISSION + 2 * DAY)
    assert item(lace(early), "L").shown == "2 days"


def test_an_unrecorded_urgency_is_read_from_the_admission_source_or_flagged() -> None:
    through_emergency = FakeStay(urgency="unknown", admission_source="emergency")
    assert item(lace(FakeView(stay=through_emergency)), "A").points == 3
    led_to = FakeStay(urgency=None, admission_source=None, emergency_visit="visit-1")
    assert item(lace(FakeView(stay=led_to)), "A").points == 3
    silent = item(lace(FakeView(stay=FakeStay(urgency=None, admission_source=None))), "A")
    assert (silent.points, silent.missing, silent.shown) == (0, True, "not recorded")


def test_a_planned_admission_through_emergency_stays_planned() -> None:
    stay = FakeStay(urgency="elective", admission_source="emergency")
    assert item(lace(FakeView(stay=stay)), "A").points == 0


patients = st.fixed_dictionaries(
    {
        "days": st.integers(0, 40),
        "urgency": st.sampled_from(["emergency", "urgent", "elective", "routine", "unknown", None]),
        "conditions": st.lists(
            st.sampled_from([condition.concept for condition in COMORBIDITIES]), unique=True
        ),
        "emergency_visits": st.integers(0, 8),
        "admissions": st.integers(0, 8),
        "procedures": st.integers(0, 3),
        "haemoglobin": st.none() | st.floats(4, 20),
        "sodium": st.none() | st.floats(105, 175),
        "service": st.sampled_from(["oncology", "surgery", None]),
    }
)
scores = st.sampled_from(
    [
        lace,
        lambda view: hospital(view, "2013"),
        lambda view: hospital(view, "2016"),
        lambda view: hospital(view, "simplified 2017"),
    ]
)


@given(patient=patients, score=scores)
def test_points_are_the_sum_of_the_items_and_within_the_range(patient: dict, score: object) -> None:
    scored: ClinicalScore = score(view_of(**patient))  # type: ignore[operator]  # a function
    assert scored.points == sum(item.points for item in scored.items)
    assert 0 <= scored.points <= scored.maximum
    assert all(item.points == 0 for item in scored.items if item.missing)
    assert all(item.shown for item in scored.items)


@given(
    patient=patients,
    score=scores,
    more=st.sampled_from(["days", "emergency_visits", "admissions", "procedures"]),
)
def test_more_of_a_burden_never_lowers_a_score(patient: dict, score: object, more: str) -> None:
    sicker = {**patient, more: patient[more] + 1}
    assert score(view_of(**sicker)).points >= score(view_of(**patient)).points  # type: ignore[operator]  # a function


@given(patient=patients, extra=st.sampled_from([condition.concept for condition in COMORBIDITIES]))
def test_one_more_condition_never_lowers_lace(patient: dict, extra: str) -> None:
    sicker = {**patient, "conditions": sorted({*patient["conditions"], extra})}
    assert lace(view_of(**sicker)).points >= lace(view_of(**patient)).points


@given(patient=patients)
def test_the_2016_version_never_exceeds_the_one_of_2013(patient: dict) -> None:
    view = view_of(**patient)
    assert hospital(view, "2016").points <= hospital(view, "2013").points


def test_every_weight_of_lace_is_the_published_one() -> None:
    weights = {condition.words: condition.weight for condition in COMORBIDITIES}
    assert sorted(weights.values()) == [1] * 4 + [2] * 5 + [3] * 2 + [4] * 3 + [6]


def test_a_day_is_counted_from_dates_not_hours() -> None:
    """Admitted at 10:00, home at 08:00 four days later: 94 hours, and four days."""
    stay = FakeStay(end=ADMISSION + 4 * DAY - 2 * HOUR)
    assert (stay.end or 0) - stay.start == int(timedelta(hours=94).total_seconds()) * SECOND
    assert item(lace(FakeView(stay=stay)), "L").shown == "4 days"
