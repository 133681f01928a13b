"""Tokens that may be used once and were: one row each, until they have expired anyway."""

from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert
from sqlalchemy.exc import IntegrityError

from service.database.tables import SEEN_TOKENS

# Made once: to build a statement takes longer than to run it.
_ENTER: Final = insert(SEEN_TOKENS)
_EXPIRED: Final = delete(SEEN_TOKENS).where(SEEN_TOKENS.c.until < bindparam("now"))


class SeenToken(NamedTuple):
    """What is kept of a token."""

    issuer: str
    token_hash: str
    until: int
    """Microseconds UTC: from here on its own expiry refuses it."""


def enter(connection: Connection, token: SeenToken, now: int) -> bool:
    """Enter a token; False where it was entered before, by whichever process.

    What has expired by ``now`` (microseconds UTC) is deleted on the way.
    """
    connection.execute(_EXPIRED, {"now": now})
    try:
        # A savepoint: after a refused row, PostgreSQL takes nothing more in the same transaction.
        with connection.begin_nested():
            connection.execute(_ENTER, token._asdict())
    except IntegrityError:
        return False
    return True
