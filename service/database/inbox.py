"""Events that EHRs told of: each entered once, and how far a subscription is known."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.database import leases
from service.database.leases import WAITING, Lease
from service.database.tables import RECEIVED_EVENTS, SUBSCRIPTIONS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An event, or a gap of events. Times are microseconds UTC."""

    id: str
    server: str
    """The name of the EHR's server in the operator's file."""
    subscription: str
    number: int
    until: int
    """The last event of a gap; of an event, its own number."""
    encounter_sealed: bytes | None
    """None for a gap: what happened is not known yet."""
    state: str = WAITING
    problem: str | None = None
    attempts: int = 0
    next_at: int
    lease_owner: str | None = None
    lease_until: int | None = None
    received_at: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of a subscription are known."""

    id: str
    server: str
    subscription: str
    reached: int
    heard_at: int


def take(connection: Connection, lease: Lease, *, now: int, at_most: int) -> list[Row]:
    """Take events that are due, each with one more attempt counted."""
    taken = leases.take(connection, RECEIVED_EVENTS, lease, now=now, at_most=at_most)
    return [Row(**row) for row in taken]


def end(connection: Connection, row_id: str, owner: str, values: Mapping[str, Any]) -> bool:
    """Note how an attempt ended, and let go of the row; False where the lease was lost."""
    return leases.change(connection, RECEIVED_EVENTS, row_id, owner, values)


def hold_position(connection: Connection, unknown: Position) -> Position:
    """How far a subscription is known, held until the transaction ends.

    Args:
        connection: of a transaction.
        unknown: what is entered where nothing was ever heard of it.
    """
    held = select(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.id == unknown.id).with_for_update()
    found = connection.execute(held).one_or_none()
    if found is None:
        try:
            # A savepoint: another process may be first, and PostgreSQL would take nothing more.
            with connection.begin_nested():
                connection.execute(insert(SUBSCRIPTIONS).values(msgspec.structs.asdict(unknown)))
        except IntegrityError:
            pass  # it was; its row is read below
        found = connection.execute(held).one()
    return Position(**found._mapping)


def move_position(connection: Connection, position: Position) -> None:
    """Say how far a subscription is known now."""
    connection.execute(
        update(SUBSCRIPTIONS)
        .where(SUBSCRIPTIONS.c.id == position.id)
        .values(reached=position.reached, heard_at=position.heard_at)
    )


def position_of(connection: Connection, position_id: str) -> Position | None:
    """How far a subscription is known; None where nothing was heard of it."""
    found = connection.execute(
        select(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.id == position_id)
    ).one_or_none()
    return None if found is None else Position(**found._mapping)


def enter(connection: Connection, row: Row) -> bool:
    """Enter an event or a gap; False where it was entered before."""
    try:
        with connection.begin_nested():
            connection.execute(insert(RECEIVED_EVENTS).values(msgspec.structs.asdict(row)))
    except IntegrityError:
        return False
    return True


def known_within(connection: Connection, gap: Row) -> int:
    """How many events of a gap have come by themselves."""
    events = RECEIVED_EVENTS.c
    return connection.execute(
        select(func.count())
        .select_from(RECEIVED_EVENTS)
        .where(
            events.server == gap.server,
            events.subscription == gap.subscription,
            events.number.between(gap.number, gap.until),
            events.encounter_sealed.is_not(None) | (events.state == "passed_over"),
        )
    ).scalar_one()
