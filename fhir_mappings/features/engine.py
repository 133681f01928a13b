"""The one engine: a timeline, a stay and a moment in; a row out, and the evidence behind it.

A view is a patient's timeline as it could be seen at one moment. Whatever asks about a patient
asks a view: features, LACE, HOSPITAL. There is no other way to the events, so nothing can look
past ``as_of``.
"""

import math
from collections.abc import Callable, Iterable

import msgspec

from fhir_mappings.errors import DeclarationError, UnprocessableError
from fhir_mappings.events import DAY, Event, Kind
from fhir_mappings.features.declaration import Feature
from fhir_mappings.features.index_stay import STAY_ATTRIBUTES
from fhir_mappings.features.measures import MEASURES, days_since, moment
from fhir_mappings.features.windows import WINDOWS, limits
from fhir_mappings.stays import Stay, find_stays, visible
from fhir_mappings.timeline import Series, Timeline

_NAN = math.nan
_YEAR_DAYS = 365.2425
OLDEST = 120
"""An age beyond this is a slip of the record and taken as unknown."""


class Evidence(msgspec.Struct, frozen=True):
    """One record behind a feature's value."""

    source: str
    """``Type/id`` of the FHIR resource."""
    code: str
    time: int | None
    """Microseconds UTC."""
    value: float | None
    unit: str | None
    utc_offset: int | None


class View:
    """A patient's timeline with one index stay, as it could be seen at ``as_of``.

    Args:
        timeline: the patient.
        stay: the index stay.
        as_of: microseconds UTC; nothing that happened or was recorded later is seen.

    """

    def __init__(self, timeline: Timeline, stay: Stay, as_of: int) -> None:
        self.timeline = timeline
        self.as_of = as_of
        self.visits = visible(timeline.visits, as_of)
        self.stays = find_stays(self.visits, ("inpatient",), timeline.profile.stays)
        self.stay: Stay = self._same_stay(stay)
        self._limits = {
            name: limits(window, self.stay.arrival, as_of) for name, window in WINDOWS.items()
        }
        self._selected: dict[tuple[str, str, tuple[Kind, ...]], list[Event]] = {}
        self._stay_series: dict[str, Series] = {}

    def _same_stay(self, stay: Stay) -> Stay:
        """The index stay as far as it could be seen: a later transfer is not part of it yet."""
        known = set(stay.encounters)
        for seen in self.stays:
            if not known.isdisjoint(seen.encounters):
                return seen
        raise UnprocessableError("The stay had not begun at the moment of scoring.")

    @property
    def end(self) -> int:
        """The discharge, or the moment of scoring while the patient is still in hospital."""
        return self.as_of if self.stay.end is None else self.stay.end

    def length_of_stay_days(self) -> float:
        """Days from admission to discharge, or so far."""
        return max(0.0, (self.end - self.stay.start) / DAY)

    def select(self, of: str, window: str, records: tuple[Kind, ...] = ()) -> list[Event]:
        """The events that a feature's ``of`` names, in a window, known at ``as_of``.

        Args:
            of: as in ``Feature.of``.
            window: a name in ``WINDOWS``.
            records: the kinds of record that count; empty for all.

        """
        key = (of, window, records)
        selected = self._selected.get(key)
        if selected is None:
            start, end = self._limits[window]
            series = self._stays_of(of) if of.startswith("stays.") else self.timeline.series(of)
            selected = series.between(
                start, end, end_included=WINDOWS[window].end_included, known_by=self.as_of
            )
            if records:
                selected = [event for event in selected if event.kind in records]
            self._selected[key] = selected
        return selected

    def _stays_of(self, of: str) -> Series:
        """Earlier stays or visits of a kind, as events whose value is their length in days."""
        series = self._stay_series.get(of)
        if series is None:
            kind = of.removeprefix("stays.")
            rules = self.timeline.profile.stays
            if kind == "inpatient":
                events = [_stay_event(s.start, s.end, s.name) for s in self.stays]
            elif kind == "observation":
                stays = find_stays(self.visits, ("observation",), rules)
                events = [_stay_event(s.start, s.end, s.name) for s in stays]
            else:
                events = [
                    _stay_event(v.start, v.end, v.encounter)
                    for v in self.visits
                    if v.kind == kind and v.encounter != self.stay.emergency_visit
                ]
            series = self._stay_series[of] = Series(events)
        return series

    def value(self, feature: Feature) -> float:
        """The feature's value; nan where the record says nothing."""
        measure = MEASURES.get(feature.measure)
        if measure is not None:
            value = measure(self.select(feature.of, feature.window, feature.records))
        else:
            value = _PARTICULAR[feature.measure](self, feature)
        if feature.cap is not None and value > feature.cap:
            return feature.cap
        return value

    def row(self, features: Iterable[Feature]) -> list[float]:
        """A value for each feature, in their order."""
        return [self.value(feature) for feature in features]

    def evidence(self, feature: Feature) -> list[Evidence]:
        """The records behind a feature's value, the newest first."""
        if feature.measure == "stay":
            events = self._stay_events()
        elif feature.measure in ("age", "sex"):
            events = self._of_the_patient()
        elif feature.measure == "weighted":
            events = [
                event
                for concept in feature.weights
                for event in self.select(concept, feature.window, feature.records)
            ]
        else:
            events = self._decisive(feature)
        newest_first = sorted(set(events), key=lambda e: (-(e.time or 0), e.source, e.code))
        return [
            Evidence(e.source, e.code, e.time, e.value, e.unit, e.utc_offset) for e in newest_first
        ]

    def _decisive(self, feature: Feature) -> list[Event]:
        """The events that made the value: one for a latest or lowest value, all for a count."""
        events = self.select(feature.of, feature.window, feature.records)
        measured = [event for event in events if event.value is not None]
        if feature.measure == "days_since":
            return sorted(events, key=lambda e: moment(e, self.as_of))[-1:]
        if feature.measure == "latest":
            return measured[-1:]
        if feature.measure == "first":
            return measured[:1]
        if feature.measure in ("minimum", "maximum"):
            value = MEASURES[feature.measure](measured)
            return [event for event in measured if event.value == value][-1:]
        if feature.measure == "change":
            return [measured[0], measured[-1]] if len(measured) > 1 else []
        if feature.measure in ("mean", "slope"):
            return measured
        return events

    def _stay_events(self) -> list[Event]:
        return [
            _stay_event(visit.start, visit.end, visit.encounter)
            for visit in self.visits
            if visit.encounter in self.stay.all_encounters
        ]

    def _of_the_patient(self) -> list[Event]:
        return self.timeline.by_code.get("MEDS_BIRTH", [])[:1]


def _stay_event(start: int, end: int | None, encounter: str) -> Event:
    length = None if end is None else (end - start) / DAY
    source = f"Encounter/{encounter}"
    code = "readmit/stay|"
    return Event(
        "", start, end, start, "encounter", code, length, "d", None, encounter, source, 0, None,
        "record",
    )  # fmt: skip


def _age(view: View, _feature: Feature) -> float:
    """Completed years are not asked for: age in years at the admission."""
    if view.timeline.birth is None:
        return _NAN
    age = (view.stay.start - view.timeline.birth) / DAY / _YEAR_DAYS
    return age if 0.0 <= age <= OLDEST else _NAN


def _sex(view: View, _feature: Feature) -> float:
    """1 female, 0 male, nan for other and unknown (administrative gender)."""
    codes = view.timeline.by_code
    if "readmit/sex|female" in codes:
        return 1.0
    return 0.0 if "readmit/sex|male" in codes else _NAN


def _stay(view: View, feature: Feature) -> float:
    return STAY_ATTRIBUTES[feature.of](view)


def _days_since(view: View, feature: Feature) -> float:
    events = view.select(feature.of, feature.window, feature.records)
    return days_since(events, view.as_of)


def _weighted(view: View, feature: Feature) -> float:
    return math.fsum(
        weight
        for concept, weight in feature.weights.items()
        if view.select(concept, feature.window, feature.records)
    )


_PARTICULAR: dict[str, Callable[[View, Feature], float]] = {
    "age": _age,
    "sex": _sex,
    "stay": _stay,
    "weighted": _weighted,
    "days_since": _days_since,
}


def check(features: Iterable[Feature], known_concepts: Iterable[str]) -> None:
    """Make sure that every declaration can be computed before the first row is.

    Raises:
        DeclarationError: naming the first feature that asks for an unknown concept, window,
            measure or attribute.

    """
    concepts = set(known_concepts)
    families = {name.rpartition(".")[0] for name in concepts}
    for feature in features:
        if feature.window not in WINDOWS:
            raise DeclarationError(f"{feature.name}: no window '{feature.window}'")
        if feature.measure not in {*MEASURES, *_PARTICULAR}:
            raise DeclarationError(f"{feature.name}: no measure '{feature.measure}'")
        if feature.measure == "stay" and feature.of not in STAY_ATTRIBUTES:
            raise DeclarationError(f"{feature.name}: no attribute '{feature.of}' of a stay")
        if feature.measure in ("stay", "age", "sex"):
            continue
        parts = list(feature.weights) if feature.measure == "weighted" else feature.of.split(" + ")
        for part in parts:
            if not _is_known(part, concepts, families):
                raise DeclarationError(f"{feature.name}: no concept '{part}'")


def _is_known(part: str, concepts: set[str], families: set[str]) -> bool:
    if part.startswith(("code:", "kind:", "stays.", "ccsr.", "ccs.")):
        return True
    if part.endswith(".*"):
        return part[:-2] in families or part in ("ccsr.*", "ccs.*")
    return part in concepts
