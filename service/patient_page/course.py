"""The patient's stays one after the other, with the risk at each, as a small drawing."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from service.cards.wording import percent
from service.patient_page.reading import StayScore
from service.score import Scored

WIDTH: Final = 320.0
"""Units, and at least as many pixels: below, its letters would be too small to read."""
HEIGHT: Final = 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 14.0, 18.0, 30.0
_CEILINGS: Final = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Where the axis may end: the risks of one patient shall not look alike in a drawing up to 1."""


class Point(NamedTuple):
    """One stay in the drawing."""

    x: float
    y: float
    words: str
    """The risk, as it is written beside the point."""
    is_here: bool


class Course(NamedTuple):
    """The drawing: stays from left to right in their order, the risk upwards from nought."""

    points: tuple[Point, ...]
    line: str
    """The points as SVG's ``polyline`` has them."""
    ceiling: float
    """The risk at the upper edge, a fraction."""
    average: float | None
    """Where the line of the average is; None without one, and above the ceiling."""
    models: int
    """How many versions of the model gave these risks: then they compare less well."""


def course(stays: Sequence[StayScore], average: float | None) -> Course | None:
    """Draw the stays that have a risk; None where there are fewer than two.

    Args:
        stays: in their order.
        average: the share of the stays that the model learned from that ended in readmission.
    """
    scored = [(one, one.score) for one in stays if isinstance(one.score, Scored)]
    if len(scored) < 2:
        return None
    highest = max(score.probability for _, score in scored)
    ceiling = next(one for one in _CEILINGS if highest <= one)
    apart = (WIDTH - _LEFT - _RIGHT) / (len(scored) - 1)
    points = tuple(
        Point(
            round(_LEFT + number * apart, 1),
            _height(score.probability, ceiling),
            percent(score.probability),
            one.is_here,
        )
        for number, (one, score) in enumerate(scored)
    )
    return Course(
        points=points,
        line=" ".join(f"{point.x:g},{point.y:g}" for point in points),
        ceiling=ceiling,
        average=None if average is None or average > ceiling else _height(average, ceiling),
        models=len({(score.model.name, score.model.version) for _, score in scored}),
    )


def _height(risk: float, ceiling: float) -> float:
    return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * risk / ceiling, 1)
