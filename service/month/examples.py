"""What the documentation of a month shows."""

from typing import Final

from service import examples
from service.month.show import (
    WARNINGS,
    Allocation,
    Calls,
    Compared,
    Month,
    Override,
    UnitCount,
)
from service.small_cells import SMALLEST_CELL

MONTH: Final = Month(
    month="2026-03",
    months=("2026-03", "2026-02"),
    counted_at="2026-05-04T06:00:00+00:00",
    followed_until="2026-05-03T23:10:00+00:00",
    complete=True,
    model=examples.IDENTITY.name,
    version=examples.IDENTITY.version,
    smallest=SMALLEST_CELL,
    stays=418,
    calls=(
        Calls(
            became="visit_booked",
            at_least=66,
            units=(
                UnitCount(unit="Cardiology", at_least=44),
                UnitCount(unit="Neurology", at_least=22),
            ),
        ),
        Calls(
            became="not_called",
            at_least=220,
            units=(
                UnitCount(unit="Cardiology", at_least=99),
                UnitCount(unit="Neurology", at_least=121),
            ),
        ),
    ),
    compared=(
        Compared(
            who="called",
            patients=143,
            person_days=3_406,
            readmissions=22,
            expected=29,
            ratio=0.83,
            low=0.53,
            high=1.23,
        ),
        Compared(
            who="not_called",
            patients=418,
            person_days=8_212,
            readmissions=44,
            expected=46,
            ratio=1.02,
            low=0.75,
            high=1.36,
        ),
    ),
    warnings=WARNINGS,
    overrides=(Override(reason="already-arranged", at_least=11),),
    allocation=(
        Allocation(attribute="sex", group="female", share_of_calls=0.55, share_of_need=0.51),
        Allocation(attribute="sex", group="male", share_of_calls=0.45, share_of_need=0.49),
    ),
)
