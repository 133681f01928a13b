"""Signed-in browsers: found by the hash of what their cookie holds."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from service.database.tables import SESSIONS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is kept. Times are microseconds UTC."""

    id_hash: str
    caller_sealed: bytes
    began_at: int
    used_at: int
    """When it was last used, as exactly as ``service.identity.sessions`` notes it."""
    until: int
    """When it ends, however much it is used."""


def begin(connection: Connection, row: Row) -> None:
    """Add a session."""
    connection.execute(insert(SESSIONS).values(**msgspec.structs.asdict(row)))


def find(connection: Connection, id_hash: str) -> Row | None:
    """The session of this hash, whether or not it is over."""
    found = connection.execute(select(SESSIONS).where(SESSIONS.c.id_hash == id_hash)).one_or_none()
    return None if found is None else Row(**found._mapping)


def use(connection: Connection, id_hash: str, at: int) -> None:
    """Note that a session was used; one that has been ended meanwhile stays ended."""
    connection.execute(update(SESSIONS).where(SESSIONS.c.id_hash == id_hash).values(used_at=at))


def end(connection: Connection, id_hash: str) -> None:
    """Remove a session, if it is there."""
    connection.execute(delete(SESSIONS).where(SESSIONS.c.id_hash == id_hash))


def remove_ended(connection: Connection, *, now: int, unused_since: int) -> None:
    """Remove the sessions that are over, or that nobody has used since a moment."""
    connection.execute(
        delete(SESSIONS).where((SESSIONS.c.until <= now) | (SESSIONS.c.used_at <= unused_since))
    )
