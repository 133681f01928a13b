"""One patient's events in the order of time, indexed by concept.

A timeline is the same whether its events came from an export, from a Bundle or from the store:
the events are put into one total order, and only what has a time is on it.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from operator import attrgetter

from fhir_mappings.concepts import ConceptTables
from fhir_mappings.consent import CONSENT_CODES
from fhir_mappings.events import Event
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.stays import Stay, Visit, find_stays, find_visits


class Timeline:
    """What is recorded about one patient.

    Args:
        subject: the Patient's id.
        events: the patient's settled events, in any order; those without a time are left out.
        concepts: the site's concept tables.
        profile: how the site codes, for its rules on stays.

    """

    def __init__(
        self,
        subject: str,
        events: Iterable[Event],
        concepts: ConceptTables,
        profile: SiteProfile,
    ) -> None:
        self.subject = subject
        self.concepts = concepts
        self.profile = profile
        self.events = _in_order([event for event in events if event.time is not None])
        self._series: dict[str, Series] = {}
        self._concepts: dict[str, list[Event]] = {}

    @cached_property
    def by_code(self) -> dict[str, list[Event]]:
        """Events of each code, in the order of time."""
        index: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            index[event.code].append(event)
        return index

    @cached_property
    def by_kind(self) -> dict[str, list[Event]]:
        """Events of each kind of record, in the order of time."""
        index: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            index[event.kind].append(event)
        return index

    @cached_property
    def by_concept(self) -> dict[str, list[str]]:
        """The codes on this timeline that belong to each concept."""
        index: dict[str, list[str]] = defaultdict(list)
        for code in self.by_code:
            for concept in self.concepts.of(code):
                index[concept].append(code)
        return index

    @cached_property
    def birth(self) -> int | None:
        """The moment of birth, microseconds UTC; None where unknown."""
        return _first(self.by_code.get("MEDS_BIRTH"))

    @cached_property
    def death(self) -> int | None:
        """The moment of death, microseconds UTC; None where none is recorded."""
        return _first(self.by_code.get("MEDS_DEATH"))

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """Every encounter, in the order of time."""
        return find_visits(self.by_code, self.death)

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        """Inpatient stays: continuations merged, emergency visits attached."""
        return find_stays(self.visits, ("inpatient",), self.profile.stays)

    @cached_property
    def observation_stays(self) -> tuple[Stay, ...]:
        """Stays for observation, which stand apart from the inpatient ones."""
        return find_stays(self.visits, ("observation",), self.profile.stays)

    @cached_property
    def consents(self) -> list[Event]:
        """What the patient's Consents refuse and permit."""
        return [event for code in CONSENT_CODES for event in self.by_code.get(code, ())]

    def series(self, of: str) -> "Series":
        """The events that a feature's ``of`` names, once a source, values in canonical units."""
        series = self._series.get(of)
        if series is None:
            events = [event for part in of.split(" + ") for event in self._events_of(part)]
            if " + " in of:
                events = _each_once(events)
            series = self._series[of] = Series(events)
        return series

    def _events_of(self, of: str) -> list[Event]:
        head, _, rest = of.partition(":")
        if head == "code":
            return _once_a_source(self.by_code.get(rest, []))
        if head == "kind":
            return self.by_kind.get(rest, [])
        if of.endswith(".*"):
            prefix = of[:-1]
            names = [name for name in self.by_concept if name.startswith(prefix)]
            return _each_once([event for name in names for event in self._concept_events(name)])
        return self._concept_events(of)

    def _concept_events(self, concept: str) -> list[Event]:
        """Events of a concept, found once: several features and families ask for the same one."""
        found = self._concepts.get(concept)
        if found is None:
            found = self._concepts[concept] = self._found(concept)
        return found

    def _found(self, concept: str) -> list[Event]:
        codes = self.by_concept.get(concept)
        if not codes:
            return []
        events = [event for code in codes for event in self.by_code[code]]
        if len(codes) > 1:
            events = _in_order(events)
        unit = self.concepts.canonical_unit(concept)
        if unit is not None:
            events = [_in_unit(event, concept, unit, self.concepts) for event in events]
        return _once_a_source(events)


class Series:
    """Events of one meaning in the order of time, ready to be cut by windows."""

    __slots__ = ("events", "times")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.times = [event.time for event in events if event.time is not None]

    def between(self, start: int, end: int, *, end_included: bool, known_by: int) -> list[Event]:
        """Events from ``start`` to ``end`` whose record could be seen at ``known_by``."""
        if not self.events:
            return []
        first = bisect_left(self.times, start)
        last = bisect_right(self.times, end) if end_included else bisect_left(self.times, end)
        return [
            event
            for event in self.events[first:last]
            if event.known_at is not None and event.known_at <= known_by
        ]


_near = attrgetter("time", "code", "source")


def _in_order(events: list[Event]) -> list[Event]:
    """The events in one total order, so that the order of the input cannot matter.

    Time, code and source settle it for nearly all; the rest is only asked where they do not.
    """
    keys = list(map(_near, events))
    if len(set(keys)) == len(keys):
        return sorted(events, key=_near)
    return sorted(events, key=_order)


def _order(event: Event) -> tuple[object, ...]:
    return (
        *_near(event),
        -(2**62) if event.known_at is None else event.known_at,
        float("-inf") if event.value is None else event.value,
        event.unit or "",
        event.text or "",
    )


def _each_once(events: list[Event]) -> list[Event]:
    """The events in order, each once. Most that are there twice are one and the same object."""
    each = list({id(event): event for event in events}.values())
    if len(set(map(_near, each))) < len(each):
        each = list(set(each))
    return _in_order(each)


def _in_unit(event: Event, concept: str, unit: str, concepts: ConceptTables) -> Event:
    """An event with its value in the canonical unit; the same one where it is in it already."""
    if event.value is None:
        return event
    value = concepts.convert(concept, event.value, event.unit)
    if value == event.value and event.unit == unit:
        return event
    return event._replace(value=value, unit=unit)


def _once_a_source(events: list[Event]) -> list[Event]:
    """A record that carries a concept under several codings is one fact, not several."""
    if len(events) < 2 or len({event.source for event in events}) == len(events):
        return events
    seen: set[tuple[str, int | None, float | None]] = set()
    once = []
    for event in events:
        key = (event.source, event.time, event.value)
        if key not in seen:
            seen.add(key)
            once.append(event)
    return once


def _first(events: list[Event] | None) -> int | None:
    return events[0].time if events else None
