"""Measures: how the events in a window become one number.

Each takes the events in the order of time. None of them is told what the events mean; the
declaration says that. ``nan`` means that nothing is known.
"""

import math
from collections.abc import Callable, Sequence

from fhir_mappings.events import DAY, Event

NAN = math.nan
Events = Sequence[Event]


def _values(events: Events) -> list[float]:
    return [event.value for event in events if event.value is not None]


def count(events: Events) -> float:
    """How many records there are; several codings of one record are one."""
    return float(len({event.source for event in events}))


def distinct(events: Events) -> float:
    """How many different codes there are."""
    return float(len({event.code for event in events}))


def present(events: Events) -> float:
    """1 where there is any record, else 0."""
    return 1.0 if events else 0.0


def latest(events: Events) -> float:
    """The last value."""
    for event in reversed(events):
        if event.value is not None:
            return event.value
    return NAN


def first(events: Events) -> float:
    """The first value."""
    for event in events:
        if event.value is not None:
            return event.value
    return NAN


def minimum(events: Events) -> float:
    """The lowest value."""
    return min(_values(events), default=NAN)


def maximum(events: Events) -> float:
    """The highest value."""
    return max(_values(events), default=NAN)


def mean(events: Events) -> float:
    """The arithmetic mean of the values."""
    values = _values(events)
    return math.fsum(values) / len(values) if values else NAN


def total(events: Events) -> float:
    """The sum of the values; 0 where there is none."""
    return math.fsum(_values(events))


def change(events: Events) -> float:
    """The last value less the first; nan with fewer than two."""
    values = _values(events)
    return values[-1] - values[0] if len(values) > 1 else NAN


def slope(events: Events) -> float:
    """The least-squares slope in units a day; nan with fewer than two moments."""
    points = [(e.time, e.value) for e in events if e.value is not None and e.time is not None]
    if len(points) < 2:
        return NAN
    origin = points[0][0]
    days = [(time - origin) / DAY for time, _ in points]
    middle = math.fsum(days) / len(days)
    level = math.fsum(value for _, value in points) / len(points)
    spread = math.fsum((day - middle) ** 2 for day in days)
    if spread == 0.0:
        return NAN
    rise = math.fsum(
        (day - middle) * (value - level) for day, (_, value) in zip(days, points, strict=True)
    )
    return rise / spread


def days_since(events: Events, as_of: int) -> float:
    """Days from the last record to the moment of scoring; for a stay, from its end."""
    if not events:
        return NAN
    return (as_of - max(moment(event, as_of) for event in events)) / DAY


def moment(event: Event, as_of: int) -> int:
    """When an event was over: an encounter's end where it lies behind, else the event's time."""
    if event.kind == "encounter" and event.end is not None and event.end <= as_of:
        return event.end
    return as_of if event.time is None else event.time


MEASURES: dict[str, Callable[[Events], float]] = {
    "count": count,
    "distinct": distinct,
    "present": present,
    "latest": latest,
    "first": first,
    "minimum": minimum,
    "maximum": maximum,
    "mean": mean,
    "sum": total,
    "change": change,
    "slope": slope,
}
"""The measures of events by name. ``age``, ``sex``, ``stay``, ``weighted`` and ``days_since``
ask for more than events and are the engine's."""
