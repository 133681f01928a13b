"""Entering what an EHR told, before it is answered: each event once, and what was missed."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Entry, Work
from service.audit.vocabulary import Event
from service.database import inbox
from service.events.notification import Notification, Told
from service.identity.caller import Caller
from service.identity.issuers import PairedServer
from service.keeping import Keeping
from service.observing.logs import Happening, logger
from service.protection.keys import Keys
from service.protection.sealing import seal

ENCOUNTER_CONTEXT: Final = "received_events.encounter"
ROUTE: Final = "/fhir/subscriptions/{name}"

WAIT_FOR_A_GAP: Final = 10_000_000
"""Microseconds that what seems to be missing is waited for: notifications overtake each other."""

PASSED_OVER: Final = "passed_over"
"""The state of an event that is none of ours: not about an Encounter, or not about a stay."""


_log = logger("readmit.events")


class Received(NamedTuple):
    """What became of a notification."""

    new: int
    """Events that were not known."""
    missed: int
    """Events that must have happened, and were not told."""


def receive(
    keeping: Keeping,
    caller: Caller | None,
    server: PairedServer,
    notification: Notification,
    *,
    route: str | None = ROUTE,
) -> Received:
    """Enter a notification, and in the audit that it came. Told again, it changes nothing.

    Args:
        keeping: the database, the keys and the audit.
        caller: the EHR; None where we asked it.
        server: the EHR's server, as the operator named it.
        notification: what it told.
        route: the template of the path; None where we asked.

    Raises:
        DatabaseError: if it cannot be entered: then it must not be answered with success.
        AuditError: likewise.
    """
    now = from_datetime(datetime.now(UTC))
    name = server.name or ""
    unknown = inbox.Position(
        id=_id(name, notification.subscription),
        server=name,
        subscription=notification.subscription,
        # What happened before the handshake is not ours; without one, everything is.
        reached=(notification.since_start or 0) if notification.type == "handshake" else 0,
        heard_at=now,
    )
    if _nothing_new(keeping, unknown, notification):
        return Received(0, 0)
    with keeping.audit.recorded() as work:
        position = inbox.hold_position(work.connection, unknown)
        rows = list(_rows(keeping.keys, unknown, notification.events, now))
        new = sum(inbox.enter(work.connection, row) for row in rows)
        numbers = {row.number for row in rows}
        last = max([notification.since_start or 0, position.reached, *numbers])
        missed = 0
        for first, until in gaps(position.reached, last, numbers):
            missed += until - first + 1
            inbox.enter(work.connection, _gap(unknown, first, until, now + WAIT_FOR_A_GAP, now))
        moved = msgspec.structs.replace(position, reached=last, heard_at=now)
        inbox.move_position(work.connection, moved)
        _record(work, caller, server, notification, Received(new, missed), route)
    if missed:
        _log.warning(Happening.EVENTS_MISSED, count=missed)
    return Received(new, missed)


def gaps(reached: int, last: int, told: set[int]) -> Iterator[tuple[int, int]]:
    """The runs of numbers that are not told, after what is known and up to the last."""
    before = reached
    for number in sorted({one for one in told if reached < one <= last} | {last + 1}):
        if number > before + 1:
            yield before + 1, number - 1
        before = number


def _nothing_new(keeping: Keeping, unknown: inbox.Position, notification: Notification) -> bool:
    """Whether it is a sign of life and no more: there may be one a minute, which no audit needs."""
    if notification.events:
        return False
    with keeping.database.reading() as connection:
        known = inbox.position_of(connection, unknown.id)
    return known is not None and (notification.since_start or 0) <= known.reached


def _rows(
    keys: Keys, position: inbox.Position, events: Iterable[Told], now: int
) -> Iterator[inbox.Row]:
    for event in events:
        if event.encounter is None and not event.focused:
            # It does not say what it is about: that is asked for at once.
            yield _gap(position, event.number, event.number, now, now)
            continue
        about = event.encounter
        yield inbox.Row(
            id=_id(position.server, position.subscription, str(event.number)),
            server=position.server,
            subscription=position.subscription,
            number=event.number,
            until=event.number,
            encounter_sealed=None if about is None else seal(keys, about, ENCOUNTER_CONTEXT),
            state=PASSED_OVER if about is None else "waiting",
            next_at=now,
            received_at=now,
        )


def _gap(position: inbox.Position, first: int, until: int, next_at: int, now: int) -> inbox.Row:
    return inbox.Row(
        id=_id(position.server, position.subscription, str(first), str(until), "gap"),
        server=position.server,
        subscription=position.subscription,
        number=first,
        until=until,
        encounter_sealed=None,
        next_at=next_at,
        received_at=now,
    )


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _record(
    work: Work,
    caller: Caller | None,
    server: PairedServer,
    notification: Notification,
    received: Received,
    route: str | None,
) -> None:
    work.record(
        Entry(
            event=Event.EVENTS_RECEIVED,
            caller=caller,
            route=route,
            details={
                "server": server.name,
                "type": notification.type,
                "count": received.new,
                "missed": received.missed,
            },
        )
    )
