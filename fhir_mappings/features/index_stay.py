"""Attributes of the index stay itself, for features with the measure ``stay``.

Where the patient went and when is known only once they have left; before that these are nan.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from fhir_mappings.events import DAY, HOUR
from fhir_mappings.records.instants import as_datetime

if TYPE_CHECKING:
    from fhir_mappings.features.engine import View

_NAN = math.nan
_URGENT = frozenset({"emergency", "urgent"})
_FACILITIES = frozenset({"skilled_nursing", "rehabilitation", "long_term", "psychiatric"})
_ONCOLOGY = ("oncology", "omed", "haematology", "hematology")
_SATURDAY = 5


def _urgent(view: "View") -> float:
    if view.stay.urgency in (None, "unknown"):
        return _NAN if view.stay.emergency_visit is None else 1.0
    return float(view.stay.urgency in _URGENT)


def _from_emergency(view: "View") -> float:
    return float(view.stay.emergency_visit is not None or view.stay.admission_source == "emergency")


def _intensive_care(view: "View") -> float:
    start, end = view.stay.arrival, view.end
    return float(any(visit.kind == "unit" and start <= visit.start <= end for visit in view.visits))


def _emergency_wait_hours(view: "View") -> float:
    if view.stay.emergency_visit is None:
        return _NAN
    return (view.stay.start - view.stay.arrival) / HOUR


def _weekend_discharge(view: "View") -> float:
    if view.stay.end is None:
        return _NAN
    moment = as_datetime(view.end, view.stay.utc_offset)
    return float(moment.weekday() >= _SATURDAY)


def _discharge_hour(view: "View") -> float:
    if view.stay.end is None:
        return _NAN
    moment = as_datetime(view.end, view.stay.utc_offset)
    return moment.hour + moment.minute / 60


def _disposition(*values: str) -> "Callable[[View], float]":
    def attribute(view: "View") -> float:
        if view.stay.disposition in (None, "unknown"):
            return _NAN
        return float(view.stay.disposition in values)

    return attribute


def is_oncology(service: str) -> bool:
    """Whether a service, by its name or code, is oncology (the O of HOSPITAL)."""
    name = service.rpartition("|")[2].lower()
    return any(word in name for word in _ONCOLOGY)


def _oncology_service(view: "View") -> float:
    return float(any(is_oncology(service) for service in view.stay.services))


def _history_days(view: "View") -> float:
    for event in view.timeline.events:
        seen = event.known_at is not None and event.known_at <= view.as_of
        if seen and event.kind != "patient" and event.time is not None:
            return max(0.0, (view.stay.arrival - event.time) / DAY)
    return 0.0


STAY_ATTRIBUTES: dict[str, Callable[["View"], float]] = {
    "length_of_stay_days": lambda view: view.length_of_stay_days(),
    "urgent": _urgent,
    "from_emergency": _from_emergency,
    "transferred_in": lambda view: float(view.stay.admission_source == "transfer"),
    "intensive_care": _intensive_care,
    "emergency_wait_hours": _emergency_wait_hours,
    "encounters_merged": lambda view: float(view.stay.merged),
    "weekend_discharge": _weekend_discharge,
    "discharge_hour": _discharge_hour,
    "disposition_home": _disposition("home"),
    "disposition_home_care": _disposition("home_care"),
    "disposition_facility": _disposition(*sorted(_FACILITIES)),
    "oncology_service": _oncology_service,
    "history_days": _history_days,
}
"""Every attribute by its name in a declaration."""
