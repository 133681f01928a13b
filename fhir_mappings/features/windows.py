"""The windows that features look through, each with both bounds spelled out.

The bounds hang on three moments of an index stay: ``arrival`` (the door of the emergency
department, or the admission), ``as_of`` (the moment of scoring, the discharge as a rule) and
nothing (``None``: as far back as the record goes). Whatever the window, nothing counts whose
record could not be seen at ``as_of``.
"""

from typing import Literal, NamedTuple

from fhir_mappings.events import DAY

Anchor = Literal["arrival", "as_of"]


class Bound(NamedTuple):
    """An anchor and a distance from it in days."""

    anchor: Anchor
    days: float = 0.0


class Window(NamedTuple):
    """From where to where a feature looks."""

    start: Bound | None
    """None: since the beginning of the record."""
    end: Bound
    end_included: bool
    description: str


_ARRIVAL = Bound("arrival")
_NOW = Bound("as_of")

WINDOWS: dict[str, Window] = {
    "stay": Window(_ARRIVAL, _NOW, True, "from arrival to the moment of scoring"),
    "first_day": Window(_ARRIVAL, Bound("arrival", 1), False, "the first 24 hours from arrival"),
    "last_day": Window(Bound("as_of", -1), _NOW, True, "the 24 hours before the moment of scoring"),
    "last_two_days": Window(
        Bound("as_of", -2), _NOW, True, "the 48 hours before the moment of scoring"
    ),
    "six_months_before": Window(
        Bound("arrival", -183), _ARRIVAL, False, "the 183 days before arrival"
    ),
    "year_before": Window(Bound("arrival", -365), _ARRIVAL, False, "the 365 days before arrival"),
    "two_years_before": Window(
        Bound("arrival", -730), _ARRIVAL, False, "the 730 days before arrival"
    ),
    "before": Window(None, _ARRIVAL, False, "everything before arrival"),
    "year_and_stay": Window(
        Bound("arrival", -365), _NOW, True, "from 365 days before arrival to the moment of scoring"
    ),
    "ever": Window(None, _NOW, True, "everything up to the moment of scoring"),
}
"""Every window by its name."""


def limits(window: Window, arrival: int, as_of: int) -> tuple[int, int]:
    """Both bounds of a window in microseconds UTC; never past ``as_of``."""
    anchors = {"arrival": arrival, "as_of": as_of}

    def at(bound: Bound) -> int:
        return anchors[bound.anchor] + int(bound.days * DAY)

    start = -(2**62) if window.start is None else at(window.start)
    return start, min(at(window.end), as_of)
