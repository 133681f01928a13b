"""Who opened whose record beyond what their role shows, why, and until when."""

import msgspec
from sqlalchemy import Connection, insert, select

from service.database.tables import BROKEN_GLASS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One breaking of the glass. Times are microseconds UTC."""

    id: str
    issuer: str
    actor: str
    patient_index: str
    reason: str
    explanation_sealed: bytes
    at: int
    until: int


def keep(connection: Connection, row: Row) -> None:
    """Keep that somebody broke the glass."""
    connection.execute(insert(BROKEN_GLASS).values(msgspec.structs.asdict(row)))


def is_broken(
    connection: Connection, *, issuer: str, actor: str, patient_index: str, now: int
) -> bool:
    """Whether somebody has one patient's record open at this moment."""
    found = connection.execute(
        select(BROKEN_GLASS.c.id)
        .where(
            BROKEN_GLASS.c.issuer == issuer,
            BROKEN_GLASS.c.actor == actor,
            BROKEN_GLASS.c.patient_index == patient_index,
            BROKEN_GLASS.c.at <= now,
            BROKEN_GLASS.c.until > now,
        )
        .limit(1)
    )
    return found.first() is not None
