"""The forecast as small drawings: for each unit and week a bar from low to high, with a mark."""

from typing import Final, NamedTuple

from service.planning.forecast import Planning

WIDTH: Final = 100
"""Of each drawing, in its own units; all have the same scale, so that they can be compared."""


class Bar(NamedTuple):
    """One unit's week: the interval from ``x`` on, and the expected number as a mark."""

    x: float
    width: float
    mark: float


class Drawn(NamedTuple):
    """All the bars, and the number that their right end stands for."""

    most: int
    bars: tuple[tuple[Bar, ...], ...]
    """By unit and week, in the forecast's order."""


def drawn(planning: Planning) -> Drawn:
    """Bars on one scale, from 0 to the highest end of an interval."""
    highs = [week.high for unit in planning.units for week in unit.weeks]
    most = max((*highs, 1))
    scale = WIDTH / most
    return Drawn(
        most,
        tuple(
            tuple(
                Bar(
                    x=round(week.low * scale, 1),
                    # A week of none to none still has a bar to be seen.
                    width=round(max(1.0, (week.high - week.low) * scale), 1),
                    mark=round(min(week.expected, most) * scale, 1),
                )
                for week in unit.weeks
            )
            for unit in planning.units
        ),
    )
