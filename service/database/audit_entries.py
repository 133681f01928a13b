"""The audit's rows: appended under one lock, read in order, and never updated."""

from collections.abc import Iterator
from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select, update

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


def hold_head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last entry, held until the transaction ends: nobody else appends."""
    head = select(AUDIT_HEAD.c.number, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.id == 1)
    found = connection.execute(head.with_for_update()).one_or_none()
    if found is None:
        raise LookupError("the audit has no head")  # the first migration makes it
    return found.number, found.hash


def append(connection: Connection, rows: list[Row]) -> None:
    """Add entries after the head that is held, and move the head to the last of them."""
    connection.execute(insert(AUDIT_ENTRIES), [msgspec.structs.asdict(row) for row in rows])
    last = rows[-1]
    connection.execute(
        update(AUDIT_HEAD).where(AUDIT_HEAD.c.id == 1).values(number=last.number, hash=last.hash)
    )


def entries(connection: Connection, *, at_once: int = 1_000) -> Iterator[Row]:
    """All entries in order, a thousand in memory at a time."""
    found = connection.execution_options(yield_per=at_once).execute(
        select(AUDIT_ENTRIES).order_by(AUDIT_ENTRIES.c.number)
    )
    for row in found:
        yield Row(**row._mapping)
