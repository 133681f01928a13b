"""What a published score is to its reader: points, and the records behind each point.

The scores count what is known by ``view.as_of`` and nothing later, as the features do, so that a
score shown beside a predicted risk rests on the same record.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from fhir_mappings.events import DAY, SECOND, Event


class ScoreItem(msgspec.Struct, frozen=True):
    """One item of a score: what was found, and the points it gives."""

    letter: str
    name: str
    shown: str
    """What was found, in words and with its unit: ``11.2 g/dL``, ``3 visits``."""
    points: int
    evidence: tuple[str, ...] = ()
    """The resources behind it, ``Type/id``."""
    missing: bool = False
    """The record says nothing on it; it scores 0, and the total may be too low."""


class ClinicalScore(msgspec.Struct, frozen=True):
    """A published score for one stay, with every item that adds up to it."""

    name: str
    version: str
    points: int
    maximum: int
    band: str
    """The risk band of the publication: ``low``, ``moderate`` ..."""
    items: tuple[ScoreItem, ...]
    reference: str
    """The publication, ``doi:10...``."""


class ScoredStay(Protocol):
    """The part of an index stay that the scores read; ``fhir_mappings.stays.Stay`` has it."""

    @property
    def encounters(self) -> Sequence[str]:
        """The Encounters that the stay was merged from."""

    @property
    def start(self) -> int:
        """Admission, microseconds UTC."""

    @property
    def end(self) -> int | None:
        """Discharge, microseconds UTC; None while the patient is in hospital."""

    @property
    def utc_offset(self) -> int | None:
        """Minutes that the hospital's clock is ahead of UTC; None where unknown."""

    @property
    def urgency(self) -> str | None:
        """The value of ``readmit/urgency``."""

    @property
    def admission_source(self) -> str | None:
        """The value of ``readmit/admission-source``."""

    @property
    def services(self) -> Sequence[str]:
        """The services that cared for the patient; the last is the one discharged from."""

    @property
    def emergency_visit(self) -> str | None:
        """The emergency Encounter that led to the stay."""


class ScoredView(Protocol):
    """The part of a feature view that the scores read; ``features.engine.View`` has it."""

    @property
    def stay(self) -> ScoredStay:
        """The index stay."""

    @property
    def as_of(self) -> int:
        """The moment of scoring, microseconds UTC."""

    def select(self, of: str, window: str) -> Sequence[Event]:
        """Give the events of a concept in a named window, known by ``as_of``, in canonical unit."""


def step_points(value: float, steps: Iterable[tuple[float, int]]) -> int:
    """Give the points of the highest threshold that ``value`` reaches, 0 below the first.

    ``steps`` are pairs (threshold, points) in rising order; a threshold counts from itself upwards.
    """
    points = 0
    for threshold, reached in steps:
        if value >= threshold:
            points = reached
    return points


def calendar_days(view: ScoredView) -> int:
    """Length of stay as both publications count it: date of discharge minus date of admission.

    Dates are those of the hospital's clock, as of the moment of scoring. Counting elapsed hours
    instead would make an evening admission with a morning discharge a day shorter than any
    hospital's statistics have it.
    """
    stay = view.stay
    until = view.as_of if stay.end is None else min(stay.end, view.as_of)
    ahead = (stay.utc_offset or 0) * 60 * SECOND
    return max(0, (until + ahead) // DAY - (stay.start + ahead) // DAY)


def admitted_urgently(stay: ScoredStay) -> bool | None:
    """Whether the admission was unplanned, or None where the record does not say.

    Where no urgency is recorded, coming through the emergency department counts as urgent, as it
    does for the feature ``urgent``.
    """
    if stay.urgency in {"emergency", "urgent"}:
        return True
    if stay.urgency in {"elective", "routine"}:
        return False
    through_emergency = stay.emergency_visit is not None or stay.admission_source == "emergency"
    return True if through_emergency else None


def sources(events: Iterable[Event]) -> tuple[str, ...]:
    """Give the resources behind some events, each once however many codings it carries."""
    return tuple(dict.fromkeys(event.source for event in events))


def latest(events: Sequence[Event]) -> Event | None:
    """Give the last event in time that has a number, or None."""
    with_value = [event for event in events if event.value is not None]
    return max(with_value, key=lambda event: (event.time or 0, event.updated), default=None)


def counted(number: int, one: str, many: str) -> str:
    """Word a count: ``1 visit``, ``3 visits``."""
    return f"{number} {one if number == 1 else many}"


def urgency_item(letter: str, name: str, points: int, stay: ScoredStay) -> ScoreItem:
    """Score the item that both scores have: whether the index admission was urgent."""
    urgent = admitted_urgently(stay)
    shown = "not recorded" if urgent is None else "urgent" if urgent else "planned"
    return ScoreItem(
        letter=letter,
        name=name,
        shown=shown,
        points=points if urgent else 0,
        evidence=encounter_sources(stay),
        missing=urgent is None,
    )


def encounter_sources(stay: ScoredStay) -> tuple[str, ...]:
    """Name the Encounters of a stay as resources, ``Encounter/id``."""
    return tuple(
        encounter if "/" in encounter else f"Encounter/{encounter}" for encounter in stay.encounters
    )
