"""The keys that the service signs with: the newest one signs, the others are being retired."""

import msgspec
from sqlalchemy import Connection, insert, select, text, update

from service.database.tables import SIGNING_KEYS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept; times are microseconds UTC."""

    kid: str
    private_sealed: bytes
    made_at: int
    retired_at: int | None = None


def newest_first(connection: Connection) -> list[Row]:
    """All keys."""
    found = connection.execute(select(SIGNING_KEYS).order_by(SIGNING_KEYS.c.made_at.desc()))
    return [Row(**row._mapping) for row in found]


def hold(connection: Connection) -> None:
    """Have nobody else replace the key until the transaction ends; whoever reads it goes on.

    SQLite's writing transactions have the file to themselves. On PostgreSQL two workers would
    otherwise both find no key, and each make one.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))


def replace_with(connection: Connection, row: Row) -> None:
    """Add a key and retire those before it, as of the moment that it was made."""
    connection.execute(
        update(SIGNING_KEYS)
        .where(SIGNING_KEYS.c.retired_at.is_(None))
        .values(retired_at=row.made_at)
    )
    connection.execute(insert(SIGNING_KEYS).values(msgspec.structs.asdict(row)))
