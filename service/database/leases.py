"""Rows that one worker at a time works on: taken for a while, kept or let go.

Several processes work on one database. A row is taken by writing who has it and until when; whoever
dies with it lets go when that moment is past. What a worker does with a row counts only while it
still has it. All times are microseconds UTC, by the clocks of the machines that the workers run on.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, func, or_, select, update

from service.database.tables import OUTBOX, RECEIVED_EVENTS

WAITING: Final = "waiting"
FAILED: Final = "failed"
"""Given up: a person has to look at it, and may have it tried again."""


class Lease(NamedTuple):
    """Who works on a row, and until when it is theirs."""

    owner: str
    until: int


def take(
    connection: Connection, table: Table, lease: Lease, *, now: int, at_most: int
) -> list[dict[str, Any]]:
    """Take rows that are due, each with one more attempt counted; the longest due first."""
    free = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
    due = (
        select(table.c.id)
        .where(table.c.state == WAITING, table.c.next_at <= now, free)
        .order_by(table.c.next_at, table.c.id)
        .limit(at_most)
        # Another worker's rows are passed over; SQLite has one writer, and no such words.
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(due).scalars())
    if not ids:
        return []
    changed: dict[str, Any] = {
        "lease_owner": lease.owner,
        "lease_until": lease.until,
        "attempts": table.c.attempts + 1,
    }
    connection.execute(update(table).where(table.c.id.in_(ids)).values(changed))
    taken = select(table).where(table.c.id.in_(ids)).order_by(table.c.next_at, table.c.id)
    return [dict(row._mapping) for row in connection.execute(taken)]


def change(
    connection: Connection, table: Table, row_id: str, owner: str, values: Mapping[str, Any]
) -> bool:
    """Change a row and let go of it; False where it is not the owner's any more."""
    done = connection.execute(
        update(table)
        .where(table.c.id == row_id, table.c.lease_owner == owner)
        .values({**values, "lease_owner": None, "lease_until": None})
    )
    return done.rowcount == 1


def retry_failed(connection: Connection, *, now: int) -> dict[str, int]:
    """Have all that was given up tried again at once; how many of which table."""
    anew = {"state": WAITING, "problem": None, "attempts": 0, "next_at": now}
    return {
        table.name: connection.execute(
            update(table).where(table.c.state == FAILED).values(anew)
        ).rowcount
        for table in (RECEIVED_EVENTS, OUTBOX)
    }


class Group(NamedTuple):
    """How many rows of a table are in one state, for one reason, at one server."""

    table: str
    server: str
    state: str
    problem: str | None
    rows: int


def counted(connection: Connection) -> list[Group]:
    """What waits, failed and is done, in both tables."""
    found = []
    for table in (RECEIVED_EVENTS, OUTBOX):
        by = (table.c.server, table.c.state, table.c.problem)
        rows = connection.execute(select(*by, func.count()).group_by(*by).order_by(*by))
        found += [Group(table.name, *row) for row in rows]
    return found
