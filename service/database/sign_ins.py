"""Sign-ins that a browser has begun: taken once, when it comes back from the issuer."""

import msgspec
from sqlalchemy import Connection, delete, insert

from service.database.tables import SIGN_INS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in as it is kept. ``until`` is in microseconds UTC."""

    state_hash: str
    issuer: str
    secrets_sealed: bytes
    until: int


def begin(connection: Connection, row: Row) -> None:
    """Add a sign-in."""
    connection.execute(insert(SIGN_INS).values(**msgspec.structs.asdict(row)))


def take(connection: Connection, state_hash: str) -> Row | None:
    """Remove the sign-in of this state and give it; of two that ask at once, one gets it."""
    taken = connection.execute(
        delete(SIGN_INS).where(SIGN_INS.c.state_hash == state_hash).returning(*SIGN_INS.c)
    ).one_or_none()
    return None if taken is None else Row(**taken._mapping)


def remove_ended(connection: Connection, *, now: int) -> None:
    """Remove the sign-ins from which no browser came back in time."""
    connection.execute(delete(SIGN_INS).where(SIGN_INS.c.until <= now))
