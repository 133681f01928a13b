"""LACE: length of stay, acuity, comorbidity, emergency visits (van Walraven 2010).

Source of every rule here: doi:10.1503/cmaj.091117. The score was derived in adults discharged to
the community from medical and surgical wards in Ontario; its outcome is death or unplanned
readmission within 30 days.
"""

from typing import NamedTuple

from fhir_mappings.clinical_scores.score import (
    ClinicalScore,
    ScoredView,
    ScoreItem,
    calendar_days,
    counted,
    encounter_sources,
    sources,
    step_points,
    urgency_item,
)
from fhir_mappings.events import Event

REFERENCE = "doi:10.1503/cmaj.091117"

MAXIMUM = 19

DAYS_IN_HOSPITAL = ((1, 1), (2, 2), (3, 3), (4, 4), (7, 5), (14, 7))
"""Points by calendar days in hospital, from the day given upwards."""

COMORBIDITY_POINTS = ((1, 1), (2, 2), (3, 3), (4, 5))
"""Points by the sum of LACE's own comorbidity weights."""

EMERGENCY_VISITS = ((1, 1), (2, 2), (3, 3), (4, 4))
"""Points by visits in the six months before, without the one that led to this stay."""

ACUTE_ADMISSION = 3

BANDS = ((0, "low"), (5, "moderate"), (10, "high"))
"""Bands in use since the publication, from the points given upwards."""


class Comorbidity(NamedTuple):
    """A condition of LACE's comorbidity item."""

    concept: str
    words: str
    weight: int
    worse: str | None = None
    """The severer form of the same disease, beside which this one adds nothing."""


COMORBIDITIES = (
    Comorbidity("charlson.myocardial_infarction", "previous myocardial infarction", 1),
    Comorbidity("charlson.cerebrovascular_disease", "cerebrovascular disease", 1),
    Comorbidity("charlson.peripheral_vascular_disease", "peripheral vascular disease", 1),
    Comorbidity(
        "charlson.diabetes_without_complication",
        "diabetes without complications",
        1,
        worse="charlson.diabetes_with_complication",
    ),
    Comorbidity("charlson.congestive_heart_failure", "congestive heart failure", 2),
    Comorbidity("charlson.diabetes_with_complication", "diabetes with end-organ damage", 2),
    Comorbidity("charlson.chronic_pulmonary_disease", "chronic pulmonary disease", 2),
    Comorbidity(
        "charlson.mild_liver_disease",
        "mild liver disease",
        2,
        worse="charlson.moderate_severe_liver_disease",
    ),
    Comorbidity("charlson.malignancy", "any tumour", 2, worse="charlson.metastatic_tumour"),
    Comorbidity("charlson.dementia", "dementia", 3),
    Comorbidity("charlson.connective_tissue_disease", "connective tissue disease", 3),
    Comorbidity("charlson.hiv_aids", "AIDS", 4),
    Comorbidity("charlson.moderate_severe_liver_disease", "moderate or severe liver disease", 4),
    Comorbidity("charlson.renal_disease", "moderate or severe renal disease", 4),
    Comorbidity("charlson.metastatic_tumour", "metastatic solid tumour", 6),
)
"""LACE's own weights, which are not Charlson's. Diagnosis codes do not tell its mild renal disease
(2) from its moderate or severe one (4): the coded group translates the latter, and scores so."""


def lace(view: ScoredView) -> ClinicalScore:
    """Score a stay with LACE, 0 to 19 points: low 0-4, moderate 5-9, high from 10."""
    items = (
        _length_of_stay(view),
        urgency_item("A", "Acute admission", ACUTE_ADMISSION, view.stay),
        _comorbidity(view),
        _emergency_visits(view),
    )
    points = sum(item.points for item in items)
    return ClinicalScore(
        name="LACE",
        version="2010",
        points=points,
        maximum=MAXIMUM,
        band=[band for threshold, band in BANDS if points >= threshold][-1],
        items=items,
        reference=REFERENCE,
    )


def _length_of_stay(view: ScoredView) -> ScoreItem:
    days = calendar_days(view)
    return ScoreItem(
        letter="L",
        name="Length of stay",
        shown=counted(days, "day", "days"),
        points=step_points(days, DAYS_IN_HOSPITAL),
        evidence=encounter_sources(view.stay),
    )


def _comorbidity(view: ScoredView) -> ScoreItem:
    """No diagnosis at all is no comorbidity: records do not say that a disease is absent."""
    found: dict[str, Event] = {}
    for condition in COMORBIDITIES:
        if events := view.select(condition.concept, "ever"):
            found[condition.concept] = max(events, key=lambda event: event.time or 0)
    counting = [
        condition
        for condition in COMORBIDITIES
        if condition.concept in found and condition.worse not in found
    ]
    return ScoreItem(
        letter="C",
        name="Comorbidity",
        shown=", ".join(condition.words for condition in counting) or "none on record",
        points=step_points(sum(condition.weight for condition in counting), COMORBIDITY_POINTS),
        evidence=sources(found[condition.concept] for condition in counting),
    )


def _emergency_visits(view: ScoredView) -> ScoreItem:
    visits = sources(view.select("stays.emergency", "six_months_before"))
    return ScoreItem(
        letter="E",
        name="Emergency visits in the six months before",
        shown=counted(len(visits), "visit", "visits"),
        points=step_points(len(visits), EMERGENCY_VISITS),
        evidence=visits,
    )
