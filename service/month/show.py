"""A month as one caller may see it: their units' sums, and no count that points at a few people.

Counts are given as the transparency report and the report on the cards give them
(``training.monitoring.disclosure``): in steps of eleven, a total as the sum of its printed cells.
Ratios are given to two decimals, and only where at least eleven patients came back and eleven did
not; they are of all the caller's units together, since two neighbouring units would give each other
away.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import as_datetime
from service.card_report.period import Period
from service.database import cards, months
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.reach import Reach, reach_of
from service.keeping import Keeping
from service.month.at_risk import Exposure, Ratio, observed_to_expected
from service.month.days import days_of
from service.month.figures import BECAME, Became, GroupMonth, UnitMonth, together
from service.small_cells import SMALLEST_CELL as SMALLEST

if TYPE_CHECKING:
    from service.database.cards import CardOfPeriod

RESOURCE: Final = "List"
"""As what the month is read, in scopes: it is the list's, looked back upon."""

NO_UNIT: Final = "not recorded"
"""Stays whose unit no record names; for those who see every unit."""

WARNINGS: Final = (
    "This is not a trial. Who is called is chosen by risk and by people, and whoever can be "
    "reached at home differs from whoever cannot: a lower ratio among the called does not show "
    "that the calls did it, and a higher one does not show that they did harm.",
    "Days are counted, not patients: each day counts as without a call until somebody spoke with "
    "the patient, and as after a call from then on, so that no call is credited with days on which "
    "nobody could have come back. Whoever was called counts on both sides, each time with other "
    "days.",
    "The expected number is what the model's risks add up to over those days. If the model is no "
    "longer calibrated, both ratios are off: see what monitoring says. The intervals hold chance "
    "alone.",
)
"""What is said beside the comparison, wherever it is shown."""

Who = Literal["called", "not_called"]


class MonthNotFoundError(ReadmitError):
    """The month was not counted, or is not kept any more."""

    status = 404
    title = "No such month"


class UnitCount(msgspec.Struct, frozen=True, kw_only=True):
    """Follow-ups of one unit that came so far."""

    unit: str
    at_least: Annotated[
        int, Meta(description="The multiple of `smallest` at or below the count; 0 hides it.")
    ]


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """The stays whose follow-up came so far and no further."""

    became: Became
    at_least: Annotated[int, Meta(description="The sum of its units' printed counts.")]
    units: Annotated[
        tuple[UnitCount, ...], Meta(description="Empty where it would give a few people away.")
    ]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Readmissions in the days after a call, or in those without one."""

    who: Who
    patients: Annotated[int, Meta(description="At least so many, in steps of `smallest`.")]
    person_days: Annotated[int, Meta(description="Days at risk, all together.")]
    readmissions: Annotated[
        int | None, Meta(description="At least so many, likewise; null where too few to say.")
    ]
    expected: Annotated[int | None, Meta(description="From the risks, in those days; rounded.")]
    ratio: Annotated[float | None, Meta(description="Observed for each that was expected.")]
    low: Annotated[float | None, Meta(description="Lower end of its 95 % interval.")]
    high: float | None


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Cards of the month that were overridden for one reason."""

    reason: str
    at_least: Annotated[int, Meta(description="In steps of `smallest`; 0 hides the count.")]


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """One group's share of the calls beside its share of the need."""

    attribute: Annotated[str, Meta(description="What patients are grouped by.")]
    group: str
    share_of_calls: float
    share_of_need: Annotated[
        float, Meta(description="Of the readmissions to expect of the month's discharges.")
    ]


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of a month were, and what followed. Every count is a multiple of eleven."""

    month: str
    months: Annotated[tuple[str, ...], Meta(description="Those that were counted, newest first.")]
    counted_at: Annotated[str, Meta(description="UTC.")]
    followed_until: Annotated[str, Meta(description="UTC: how far the records went.")]
    complete: Annotated[
        bool, Meta(description="Whether all of its discharges were followed to the end.")
    ]
    model: str
    version: str
    smallest: int
    stays: Annotated[int, Meta(description="At least so many.")]
    calls: tuple[Calls, ...]
    compared: tuple[Compared, ...]
    warnings: Annotated[tuple[str, ...], Meta(description="Read them before the comparison.")]
    overrides: Annotated[
        tuple[Override, ...], Meta(description="Empty where they would give a few people away.")
    ]
    allocation: tuple[Allocation, ...]


def counted_months(keeping: Keeping) -> tuple[str, ...]:
    """The months that there are, the newest first.

    Raises:
        DatabaseError: if they cannot be read.
    """
    with keeping.database.reading() as connection:
        return tuple(months.counted(connection))


def show_month(
    keeping: Keeping, caller: Caller, month: str | None, *, zone: ZoneInfo, horizon_days: int
) -> Month:
    """A month, of the caller's units.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        month: ``2026-03``; None for the newest.
        zone: the hospital's clock.
        horizon_days: for how long discharges are followed.

    Raises:
        ForbiddenError: if the caller's access is for one patient alone.
        MonthNotFoundError: if it was not counted.
        DatabaseError: if it cannot be read.
    """
    reach = reach_of(caller, RESOURCE, "r")
    if reach.patient is not None:
        raise ForbiddenError("The access is for one patient; a month is of many.", why="patient")
    names = counted_months(keeping)
    asked = month or next(iter(names), None)
    if asked is None:
        raise MonthNotFoundError("No month was counted yet: readmit month does it.")
    period = Period(*days_of(asked), zone)
    with keeping.database.reading() as connection:
        row = months.find(connection, asked)
        shown = cards.of_period(connection, period.since, period.until)
    if row is None:
        raise MonthNotFoundError("The month was not counted, or is not kept any more.")
    units = _reached(row.units, reach)
    whole = together(units)
    stays, calls = _calls(units)
    followed = as_datetime(row.followed_until)
    return Month(
        month=asked,
        months=names,
        counted_at=as_datetime(row.made_at).isoformat(timespec="seconds"),
        followed_until=followed.isoformat(timespec="seconds"),
        complete=row.followed_until >= period.until_after(horizon_days),
        model=row.model,
        version=row.version,
        smallest=SMALLEST,
        stays=stays,
        calls=calls,
        compared=(_compared("called", whole.called), _compared("not_called", whole.not_called)),
        warnings=WARNINGS,
        overrides=_overrides([card for card in shown if reach.covers_unit(card.unit)]),
        allocation=tuple(_allocation(whole)),
    )


def _reached(units: str, reach: Reach) -> list[UnitMonth]:
    kept = msgspec.json.decode(units, type=list[UnitMonth])
    return [unit for unit in kept if reach.covers_unit(unit.unit)]


def _calls(units: Sequence[UnitMonth]) -> tuple[int, tuple[Calls, ...]]:
    """How many stays there were, and how far their follow-ups came; checked beside each other."""
    from training.monitoring.disclosure import publishable, rounded

    every = rounded("stays", "stays", {"all": together(units).stays}, SMALLEST)
    by_unit = [
        rounded(
            "unit",
            became,
            {unit.unit or NO_UNIT: unit.became.get(became, 0) for unit in units},
            SMALLEST,
            within="stays",
        )
        for became in BECAME
    ]
    whole, *tables = publishable([every, *by_unit], (), SMALLEST)
    return whole.at_least, tuple(
        Calls(
            became=became,
            at_least=table.at_least,
            units=tuple(UnitCount(unit=cell.name, at_least=cell.at_least) for cell in table.cells),
        )
        for became, table in zip(BECAME, tables, strict=True)
    )


def _compared(who: Who, exposure: Exposure) -> Compared:
    back = exposure.readmissions
    enough = min(back, exposure.patients - back) >= SMALLEST
    ratio: Ratio | None = observed_to_expected(exposure) if enough else None
    return Compared(
        who=who,
        patients=_step(exposure.patients),
        person_days=round(exposure.days) if exposure.patients >= SMALLEST else 0,
        readmissions=None if ratio is None else _step(back),
        expected=None if ratio is None else round(exposure.expected),
        ratio=None if ratio is None else round(ratio.value, 2),
        low=None if ratio is None else round(ratio.low, 2),
        high=None if ratio is None else round(ratio.high, 2),
    )


def _overrides(shown: "Sequence[CardOfPeriod]") -> tuple[Override, ...]:
    from service.card_report.counts import REASON, tables

    return tuple(
        Override(reason=cell.name, at_least=cell.at_least)
        for table in tables(shown)
        if table.name == REASON
        for cell in table.cells
    )


def _allocation(whole: UnitMonth) -> list[Allocation]:
    """Shares of the patients whose record says the attribute; of groups of eleven or more."""
    found = []
    for attribute, groups in sorted(whole.groups.items()):
        every = sum(groups.values(), GroupMonth())
        if every.calls < SMALLEST:
            continue
        found += [
            Allocation(
                attribute=attribute,
                group=name,
                share_of_calls=round(group.calls / every.calls, 2),
                share_of_need=round(group.need / every.need, 2) if every.need else 0.0,
            )
            for name, group in sorted(groups.items())
            if group.stays >= SMALLEST
        ]
    return found


def _step(count: int) -> int:
    return count // SMALLEST * SMALLEST
