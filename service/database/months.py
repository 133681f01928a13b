"""What the follow-ups of a month came to, as it was counted last."""

import msgspec
from sqlalchemy import Connection, delete, insert, select

from service.database.tables import MONTHS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A month that was counted. Times are microseconds UTC."""

    month: str
    """``2026-03``."""
    made_at: int
    followed_until: int
    """How far the records went."""
    model: str
    version: str
    units: str
    """JSON of the sums by unit."""


def put(connection: Connection, row: Row) -> None:
    """Put a month in the place of what was counted of it before."""
    connection.execute(delete(MONTHS).where(MONTHS.c.month == row.month))
    connection.execute(insert(MONTHS).values(msgspec.structs.asdict(row)))


def find(connection: Connection, month: str) -> Row | None:
    """A month; None where it was not counted, or is not kept any more."""
    found = connection.execute(select(MONTHS).where(MONTHS.c.month == month)).one_or_none()
    return None if found is None else Row(**found._mapping)


def counted(connection: Connection) -> list[str]:
    """The months that there are, the newest first."""
    return list(
        connection.execute(select(MONTHS.c.month).order_by(MONTHS.c.month.desc())).scalars()
    )
