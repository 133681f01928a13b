"""What the documentation of planning shows."""

from typing import Final

from service import examples
from service.planning.forecast import ForecastWeek, Planning, UnitForecast

PLANNING: Final = Planning(
    as_of="2026-03-12T04:00:00+00:00",
    model=examples.IDENTITY.name,
    version=examples.IDENTITY.version,
    horizon_days=30,
    overdispersion=1.2,
    units=(
        UnitForecast(
            unit="Cardiology",
            weeks=(
                ForecastWeek(week=1, at_home=5.2, to_come=0.7, expected=5.9, low=2, high=11),
                ForecastWeek(week=2, at_home=3.1, to_come=2.4, expected=5.5, low=1, high=11),
            ),
        ),
    ),
    hidden=False,
)
