"""What is to lie at the EHRs: one row for each resource of a stay, made of the newest score."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.database import leases
from service.database.leases import WAITING, Lease
from service.database.tables import OUTBOX


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a stay at one EHR. Times are microseconds UTC."""

    id: str
    server: str
    """The name of the EHR's server in the operator's file."""
    kind: str
    """The type of the resource."""
    stay_index: str
    score_id: str
    """What it is made of when it is delivered."""
    known_at: int
    """When the records of the score were asked for."""
    state: str = WAITING
    problem: str | None = None
    attempts: int = 0
    may_be_there: bool = False
    """Whether it was ever sent, so that it may lie at the EHR."""
    next_at: int
    lease_owner: str | None = None
    lease_until: int | None = None
    changed_at: int


def take(connection: Connection, lease: Lease, *, now: int, at_most: int) -> list[Row]:
    """Take what is due to be delivered, each with one more attempt counted."""
    return [Row(**row) for row in leases.take(connection, OUTBOX, lease, now=now, at_most=at_most)]


def hold(connection: Connection, row_id: str) -> Row | None:
    """A row, held until the transaction ends; None where there is none."""
    found = connection.execute(
        select(OUTBOX).where(OUTBOX.c.id == row_id).with_for_update()
    ).one_or_none()
    return None if found is None else Row(**found._mapping)


def enter(connection: Connection, row: Row) -> bool:
    """Enter a resource that the stay has not had yet; False where another process was first."""
    try:
        with connection.begin_nested():
            connection.execute(insert(OUTBOX).values(msgspec.structs.asdict(row)))
    except IntegrityError:
        return False
    return True


def renew(connection: Connection, row: Row) -> None:
    """Have a row be about a newer score. Whoever delivers the older one keeps the lease."""
    connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.id == row.id)
        .values(
            score_id=row.score_id,
            known_at=row.known_at,
            state=row.state,
            problem=None,
            attempts=0,
            next_at=row.next_at,
            changed_at=row.changed_at,
        )
    )


def again(connection: Connection, row: Row, now: int) -> None:
    """Have what was delivered delivered anew, unless something newer is in the row by now."""
    connection.execute(
        update(OUTBOX)
        .where(
            OUTBOX.c.id == row.id,
            OUTBOX.c.score_id == row.score_id,
            OUTBOX.c.state == row.state,
        )
        .values(state=WAITING, attempts=0, next_at=now, changed_at=now)
    )


def about_to_send(connection: Connection, row: Row, owner: str) -> bool:
    """Note that a resource may lie at the EHR from now on.

    Returns: False where it is not to be sent: the lease is lost, or there is a newer score.
    """
    done = connection.execute(
        update(OUTBOX)
        .where(
            OUTBOX.c.id == row.id,
            OUTBOX.c.lease_owner == owner,
            OUTBOX.c.score_id == row.score_id,
            OUTBOX.c.state == WAITING,
        )
        .values(may_be_there=True)
    )
    return done.rowcount == 1


def end(connection: Connection, row: Row, owner: str, values: Mapping[str, Any]) -> bool:
    """Note how an attempt to deliver ended, and let go of the row.

    Returns: False where the lease was lost, or a newer score waits in the row: that one is still to
    be delivered, whatever became of the older one.
    """
    theirs = (OUTBOX.c.id == row.id, OUTBOX.c.lease_owner == owner)
    free = {"lease_owner": None, "lease_until": None}
    same = (OUTBOX.c.score_id == row.score_id, OUTBOX.c.state == WAITING)
    done = connection.execute(update(OUTBOX).where(*theirs, *same).values({**values, **free}))
    if done.rowcount == 1:
        return True
    connection.execute(update(OUTBOX).where(*theirs).values(free))
    return False


def flags_that_stand(connection: Connection) -> list[Row]:
    """Every Flag that was delivered and not taken back."""
    found = connection.execute(
        select(OUTBOX).where(OUTBOX.c.kind == "Flag", OUTBOX.c.state == "delivered")
    )
    return [Row(**row._mapping) for row in found]
