"""The work list as it is read: filtered, sorted and paged by the database.

A page goes on behind the last row that was seen, by what it is sorted by and not by its number:
rows that change in between move, and no other row is missed or shown twice.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    func,
    literal,
    select,
    tuple_,
)

from service.database.tables import FOLLOW_UPS, SCORING_RUNS, WORK_LIST

NEW: Final = "new"
"""The status of a stay that nobody has worked yet: it has no row among the follow-ups."""

UNDATED: Final = "9999-12-31"
"""Where a stay without a due date stands among those that have one: behind them."""
IN_HOSPITAL: Final = 2**62
"""Where a stay that has not ended stands among those that have: before them."""

Sort = Literal["remaining", "risk", "discharged", "due"]


class ListedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A patient on the list, with how far their stay has been worked. Times: microseconds UTC."""

    patient_sealed: bytes
    patient_index: str
    stay_index: str
    score_id: str
    unit: str | None
    probability: float
    band: str
    lace: int | None
    hospital: int | None
    discharged_at: int | None
    remaining: float
    remaining_low: float | None
    remaining_high: float | None
    condition_group: str | None
    groups: str
    summary_sealed: bytes | None
    status: str
    assigned_to: str | None
    due_on: str | None
    version: int


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which patients of the list are wanted. What is None or empty narrows nothing."""

    reach: frozenset[str] | None = None
    """The units that the caller may see; None for all, of unknown units too."""
    units: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    assigned_to: str | None = None
    unassigned: bool = False
    in_hospital: bool | None = None
    discharged_from: int | None = None
    discharged_before: int | None = None


class Place(NamedTuple):
    """Where a page ended: the value that it is sorted by, and the stay."""

    value: float | int | str
    stay_index: str


class Need(NamedTuple):
    """Patients of the list with the same attributes: how many, and the readmissions expected."""

    groups: str
    """JSON of the attributes."""
    patients: int
    expected: float


class Discharged(NamedTuple):
    """A patient who left hospital, for whoever forecasts and needs to know no more."""

    unit: str | None
    probability: float
    """As predicted at the discharge."""
    discharged_at: int
    """Microseconds UTC."""
    at_home: bool
    """Whether they are alive and have not come back since."""


_STATUS: Final = func.coalesce(FOLLOW_UPS.c.status, NEW)

_SORTED_BY: Final[dict[Sort, tuple[ColumnElement[Any], bool]]] = {
    "remaining": (WORK_LIST.c.remaining, True),
    "risk": (WORK_LIST.c.probability, True),
    "discharged": (func.coalesce(WORK_LIST.c.discharged_at, literal(IN_HOSPITAL)), True),
    "due": (func.coalesce(FOLLOW_UPS.c.due_on, UNDATED), False),
}
"""What each order goes by, and whether the largest comes first."""

_LISTED: Final[tuple[ColumnElement[Any], ...]] = (
    *(
        WORK_LIST.c[name]
        for name in ListedRow.__struct_fields__
        if name in WORK_LIST.c and name != "version"
    ),
    _STATUS.label("status"),
    FOLLOW_UPS.c.assigned_to,
    FOLLOW_UPS.c.due_on,
    func.coalesce(FOLLOW_UPS.c.version, 0).label("version"),
)


def page(
    connection: Connection, filters: Filters, sort: Sort, *, after: Place | None, limit: int
) -> list[ListedRow]:
    """Patients of the list, in order.

    Args:
        connection: to the database.
        filters: which.
        sort: by what; equal ones in an order of their own that does not change.
        after: where the page before ended; None for the first.
        limit: at most so many.
    """
    column, falling = _SORTED_BY[sort]
    query = _narrowed(select(*_LISTED), filters, joined=True)
    key = tuple_(column, WORK_LIST.c.stay_index)
    if after is not None:
        ended = tuple_(literal(after.value), literal(after.stay_index))
        query = query.where(key < ended if falling else key > ended)
    order = (column, WORK_LIST.c.stay_index)
    query = query.order_by(*(one.desc() if falling else one.asc() for one in order)).limit(limit)
    return [ListedRow(**row._mapping) for row in connection.execute(query)]


def place_of(row: ListedRow, sort: Sort) -> Place:
    """Where a page ends that ends with a row."""
    values: dict[Sort, float | int | str] = {
        "remaining": row.remaining,
        "risk": row.probability,
        "discharged": IN_HOSPITAL if row.discharged_at is None else row.discharged_at,
        "due": row.due_on or UNDATED,
    }
    return Place(values[sort], row.stay_index)


def count(connection: Connection, filters: Filters) -> int:
    """How many patients of the list are wanted."""
    found: int = connection.execute(_narrowed(select(func.count()), filters)).scalar_one()
    return found


def find(connection: Connection, stay_index: str) -> ListedRow | None:
    """A stay of the list; None where it is not on it, or has left it."""
    query = _narrowed(select(*_LISTED), Filters(), joined=True).where(
        WORK_LIST.c.stay_index == stay_index
    )
    found = connection.execute(query).one_or_none()
    return None if found is None else ListedRow(**found._mapping)


def of_score(connection: Connection, score_id: str) -> ListedRow | None:
    """The stay of the list that a score is shown for; None where there is none."""
    query = _narrowed(select(*_LISTED), Filters(), joined=True).where(
        WORK_LIST.c.score_id == score_id
    )
    found = connection.execute(query.limit(1)).one_or_none()
    return None if found is None else ListedRow(**found._mapping)


def needs(connection: Connection, filters: Filters) -> list[Need]:
    """The patients that are wanted, by their attributes: who is on the list, and who needs it."""
    query = _narrowed(
        select(WORK_LIST.c.groups, func.count(), func.sum(WORK_LIST.c.remaining)), filters
    ).group_by(WORK_LIST.c.groups)
    return [Need(*row) for row in connection.execute(query)]


def discharged_since(connection: Connection, filters: Filters, moment: int) -> list[Discharged]:
    """Who was scored and discharged since a moment (microseconds UTC), on the list or not any more.

    Whoever came back is there with the new stay alone.

    Args:
        connection: to the database.
        filters: of which the caller's reach counts.
        moment: the earliest discharge.
    """
    columns = (
        WORK_LIST.c.unit,
        WORK_LIST.c.probability,
        WORK_LIST.c.discharged_at,
        WORK_LIST.c.left.is_(None).label("at_home"),
    )
    query = select(*columns).where(
        WORK_LIST.c.probability.is_not(None), WORK_LIST.c.discharged_at >= moment
    )
    if filters.reach is not None:
        query = query.where(WORK_LIST.c.unit.in_(sorted(filters.reach)))
    return [Discharged(*row) for row in connection.execute(query)]


def choices(connection: Connection, filters: Filters) -> dict[str, list[str]]:
    """The units and the condition groups that are on the list, to choose from."""
    found = {}
    columns: dict[str, Column[str]] = {
        "units": WORK_LIST.c.unit,
        "conditions": WORK_LIST.c.condition_group,
    }
    for name, column in columns.items():
        query = _narrowed(select(column).distinct(), filters).where(column.is_not(None))
        found[name] = sorted(connection.execute(query).scalars())
    return found


def listed_as_of(connection: Connection) -> int | None:
    """The moment that the last whole batch run stands for; None before the first."""
    ended = SCORING_RUNS.c.ended_at.is_not(None)
    return connection.execute(select(func.max(SCORING_RUNS.c.as_of)).where(ended)).scalar()


def _narrowed(query: Select[Any], filters: Filters, *, joined: bool = False) -> Select[Any]:
    """A query of the list's rows that are wanted; joined with their follow-ups where it must be.

    Joining a hundred thousand rows to count them takes longer than counting them.
    """
    by_work = filters.statuses or filters.assigned_to is not None or filters.unassigned
    source: FromClause = WORK_LIST
    if joined or by_work:
        source = WORK_LIST.outerjoin(FOLLOW_UPS, FOLLOW_UPS.c.stay_index == WORK_LIST.c.stay_index)
    return query.select_from(source).where(*_conditions(filters))


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    yield WORK_LIST.c.left.is_(None)
    if filters.reach is not None:
        yield WORK_LIST.c.unit.in_(sorted(filters.reach))
    each: tuple[tuple[ColumnElement[Any], Collection[str]], ...] = (
        (WORK_LIST.c.unit, filters.units),
        (WORK_LIST.c.band, filters.bands),
        (WORK_LIST.c.condition_group, filters.conditions),
        (_STATUS, filters.statuses),
    )
    for column, values in each:
        if values:
            yield column.in_(values)
    if filters.assigned_to is not None:
        yield FOLLOW_UPS.c.assigned_to == filters.assigned_to
    if filters.unassigned:
        yield FOLLOW_UPS.c.assigned_to.is_(None)
    if filters.in_hospital is not None:
        still = WORK_LIST.c.discharged_at.is_(None)
        yield still if filters.in_hospital else ~still
    if filters.discharged_from is not None:
        yield WORK_LIST.c.discharged_at >= filters.discharged_from
    if filters.discharged_before is not None:
        yield WORK_LIST.c.discharged_at < filters.discharged_before
