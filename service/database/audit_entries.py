"""The audit's rows: appended under one lock, read in order, and never updated."""

from collections.abc import Generator
from typing import Final

import msgspec
from sqlalchemy import Connection, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.database.tables import AUDIT_ENTRIES, AUDIT_HEAD

START: Final = "0" * 64
"""What stands for the predecessor of the first entry."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is kept. ``hash`` covers all fields but itself and ``patient_sealed``.

    The sealed patient is left out so that the keys can be rotated; the index beside it is covered.
    """

    number: int
    at: int
    event: str
    outcome: str
    issuer: str | None
    actor: str | None
    client: str | None
    roles: str
    purpose: str | None
    route: str | None
    patient_index: str | None
    patient_sealed: bytes | None
    details: str
    previous: str
    hash: str


# Made once: to build a statement takes longer than to run it.
_APPEND: Final = insert(AUDIT_ENTRIES)
_MOVE_HEAD: Final = update(AUDIT_HEAD).where(AUDIT_HEAD.c.id == 1)
_HEAD: Final = select(AUDIT_HEAD.c.number, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.id == 1)
_HEAD_HELD: Final = _HEAD.with_for_update()


def hold_head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last entry, held until the transaction ends: nobody else appends.

    Raises:
        LookupError: if somebody removed the row that says it.
    """
    return _one_head(connection, _HEAD_HELD)


def head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last entry, at this moment.

    Raises:
        LookupError: as ``hold_head``.
    """
    return _one_head(connection, _HEAD)


def _one_head(connection: Connection, query: Select[tuple[int, str]]) -> tuple[int, str]:
    found = connection.execute(query).one_or_none()
    if found is None:
        raise LookupError("the audit's end is not known: its row was removed")
    return found.number, found.hash


def append(connection: Connection, rows: list[Row]) -> None:
    """Add entries after the head that is held, and move the head to the last of them.

    Raises:
        LookupError: if there is such an entry already: the head was moved back, or forged.
    """
    try:
        connection.execute(_APPEND, [msgspec.structs.asdict(row) for row in rows])
    except IntegrityError:
        raise LookupError("the audit goes on behind the end that its head names") from None
    last = rows[-1]
    connection.execute(_MOVE_HEAD, {"number": last.number, "hash": last.hash})


def entries(
    connection: Connection, *, since: int | None = None, until: int | None = None
) -> Generator[Row, None, None]:
    """Entries in order, a thousand in memory at a time; whoever leaves before the end closes it.

    Args:
        connection: read with.
        since: only those made at this moment (microseconds UTC) or later.
        until: only those made before this moment.
    """
    query = select(AUDIT_ENTRIES).order_by(AUDIT_ENTRIES.c.number)
    if since is not None:
        query = query.where(AUDIT_ENTRIES.c.at >= since)
    if until is not None:
        query = query.where(AUDIT_ENTRIES.c.at < until)
    # An option of this statement alone: the connection is used for others while this one streams.
    with connection.execute(query, execution_options={"yield_per": 1_000}) as found:
        for row in found:
            yield Row(**row._mapping)


def about_patient(
    connection: Connection, patient_index: str, *, since: int, before: int | None, most: int
) -> list[Row]:
    """The entries about one patient, newest first.

    Args:
        connection: read with.
        patient_index: whom they are about.
        since: only those made at this moment (microseconds UTC) or later.
        before: only those with a smaller number: the page after the one that ended there.
        most: how many at most.
    """
    entry = AUDIT_ENTRIES.c
    query = select(AUDIT_ENTRIES).where(entry.patient_index == patient_index, entry.at >= since)
    if before is not None:
        query = query.where(entry.number < before)
    found = connection.execute(query.order_by(entry.number.desc()).limit(most))
    return [Row(**row._mapping) for row in found]
