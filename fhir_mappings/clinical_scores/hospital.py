"""HOSPITAL: seven items known at discharge (Donze), in its three published versions.

The outcome is a potentially avoidable readmission within 30 days. The versions differ:

- ``2013`` (doi:10.1001/jamainternmed.2013.3023), the derivation in one network: 1 to 5 admissions
  in the year before give 2 points.
- ``2016`` (doi:10.1001/jamainternmed.2015.8462), the international validation in 117,065
  admissions to nine hospitals: a single admission gives none, 2 to 5 give 2. The default, because
  it is the version that held outside the hospitals it was derived in.
- ``simplified 2017`` (doi:10.1136/bmjqs-2016-006239): no procedure item, a diagnosis of cancer
  counts as an oncology discharge does, and two bands instead of three.
"""

from typing import Literal, NamedTuple

from fhir_mappings.clinical_scores.score import (
    ClinicalScore,
    ScoredView,
    ScoreItem,
    calendar_days,
    counted,
    encounter_sources,
    latest,
    sources,
    step_points,
    urgency_item,
)
from fhir_mappings.features.index_stay import is_oncology

Version = Literal["2013", "2016", "simplified 2017"]
"""The published versions of the score."""


class _Rules(NamedTuple):
    reference: str
    maximum: int
    admissions: tuple[tuple[int, int], ...]
    bands: tuple[tuple[int, str], ...]


VERSIONS: dict[Version, _Rules] = {
    "2013": _Rules(
        reference="doi:10.1001/jamainternmed.2013.3023",
        maximum=13,
        admissions=((1, 2), (6, 5)),
        bands=((0, "low"), (5, "intermediate"), (7, "high")),
    ),
    "2016": _Rules(
        reference="doi:10.1001/jamainternmed.2015.8462",
        maximum=13,
        admissions=((2, 2), (6, 5)),
        bands=((0, "low"), (5, "intermediate"), (7, "high")),
    ),
    "simplified 2017": _Rules(
        reference="doi:10.1136/bmjqs-2016-006239",
        maximum=12,
        admissions=((2, 2), (6, 5)),
        bands=((0, "low"), (5, "high")),
    ),
}
"""What differs between the versions: points by admissions in the year before, and the bands."""

LOW_HAEMOGLOBIN = 12.0
"""g/dL; below it, 1 point."""

LOW_SODIUM = 135.0
"""mmol/L; below it, 1 point."""

LONG_STAY = 5
"""Calendar days; from it upwards, 2 points."""

CANCER = "cancer.any"
"""The diagnosis that the simplified version counts, when coded in the year before or the stay."""


def hospital(view: ScoredView, version: Version = "2016") -> ClinicalScore:
    """Score a stay with HOSPITAL, 0 to 13 points: low 0-4, intermediate 5-6, high from 7.

    The simplified version has 0 to 12 points, and is high from 5.
    """
    rules = VERSIONS[version]
    simplified = version == "simplified 2017"
    items = [
        _laboratory(view, "H", "Haemoglobin at discharge", "lab.haemoglobin", LOW_HAEMOGLOBIN),
        _oncology(view, diagnoses=simplified),
        _laboratory(view, "S", "Sodium at discharge", "lab.sodium", LOW_SODIUM),
        urgency_item("I", "Index admission urgent", 1, view.stay),
        _admissions(view, rules.admissions),
        _length_of_stay(view),
    ]
    if not simplified:
        items.insert(3, _procedure(view))
    points = sum(item.points for item in items)
    return ClinicalScore(
        name="HOSPITAL",
        version=version,
        points=points,
        maximum=rules.maximum,
        band=[band for threshold, band in rules.bands if points >= threshold][-1],
        items=tuple(items),
        reference=rules.reference,
    )


_UNITS = {"lab.haemoglobin": "g/dL", "lab.sodium": "mmol/L"}


def _laboratory(
    view: ScoredView, letter: str, name: str, concept: str, threshold: float
) -> ScoreItem:
    """One point for a last value of the stay below the threshold; none for a missing one."""
    event = latest(view.select(concept, "stay"))
    if event is None or event.value is None:
        return ScoreItem(letter, name, shown="not measured", points=0, missing=True)
    return ScoreItem(
        letter,
        name,
        shown=f"{event.value:g} {_UNITS[concept]}",
        points=int(event.value < threshold),
        evidence=(event.source,),
    )


def _oncology(view: ScoredView, *, diagnoses: bool) -> ScoreItem:
    """Two points for a discharge from oncology; in the simplified version also for cancer."""
    service = view.stay.services[-1] if view.stay.services else None
    if service and is_oncology(service):
        return ScoreItem(
            "O", "Oncology discharge", "yes", points=2, evidence=encounter_sources(view.stay)
        )
    events = view.select(CANCER, "year_and_stay") if diagnoses else ()
    if events:
        return ScoreItem(
            "O", "Oncology discharge", "cancer diagnosed", points=2, evidence=sources(events)
        )
    return ScoreItem(
        "O",
        "Oncology discharge",
        shown="no" if service else "service not recorded",
        points=0,
        evidence=encounter_sources(view.stay) if service else (),
        missing=not service,
    )


def _procedure(view: ScoredView) -> ScoreItem:
    """One point for any coded procedure in the stay, as the derivation counted them."""
    procedures = sources(view.select("kind:procedure", "stay"))
    return ScoreItem(
        letter="P",
        name="Procedure during the stay",
        shown=counted(len(procedures), "procedure", "procedures"),
        points=int(bool(procedures)),
        evidence=procedures,
    )


def _admissions(view: ScoredView, steps: tuple[tuple[int, int], ...]) -> ScoreItem:
    admissions = sources(view.select("stays.inpatient", "year_before"))
    return ScoreItem(
        letter="A",
        name="Admissions in the year before",
        shown=counted(len(admissions), "admission", "admissions"),
        points=step_points(len(admissions), steps),
        evidence=admissions,
    )


def _length_of_stay(view: ScoredView) -> ScoreItem:
    days = calendar_days(view)
    return ScoreItem(
        letter="L",
        name="Length of stay",
        shown=counted(days, "day", "days"),
        points=2 if days >= LONG_STAY else 0,
        evidence=encounter_sources(view.stay),
    )
