"""Deleting what was kept long enough. The audit is not among it: nothing deletes from it."""

from typing import Final, NamedTuple

from sqlalchemy import Column, Connection, delete, func, select

from service.database import tables
from service.database.engine import Database


class Kept(NamedTuple):
    """A table whose rows have an end."""

    what: str
    """How the audit names what was deleted."""
    moment: "Column[int]"
    """Rows whose moment (microseconds UTC) lies before a time given are deleted."""


SCORES: Final = Kept("scores", tables.SCORES.c.made_at)
CARDS: Final = (
    Kept("shown_cards", tables.SHOWN_CARDS.c.shown_at),
    Kept("card_feedback", tables.CARD_FEEDBACK.c.received_at),
)
"""Kept as long as the scores that they show."""
EVENTS: Final = (
    Kept("received_events", tables.RECEIVED_EVENTS.c.received_at),
    Kept("outbox", tables.OUTBOX.c.changed_at),
)
"""Kept as long as the scores that they led to; what still waits for an EHR by then goes too."""
BROKEN_GLASS: Final = Kept("broken_glass", tables.BROKEN_GLASS.c.at)
OVER: Final = (
    Kept("sessions", tables.SESSIONS.c.until),
    Kept("sign_ins", tables.SIGN_INS.c.until),
    Kept("seen_tokens", tables.SEEN_TOKENS.c.until),
)
"""What says itself until when it is good."""


def count_before(connection: Connection, kept: Kept, moment: int) -> int:
    """How many rows lie before a moment (microseconds UTC)."""
    found = select(func.count()).select_from(kept.moment.table).where(kept.moment < moment)
    return connection.execute(found).scalar_one()


def delete_before(connection: Connection, kept: Kept, moment: int) -> int:
    """Delete the rows before a moment (microseconds UTC) and say how many there were."""
    return connection.execute(delete(kept.moment.table).where(kept.moment < moment)).rowcount


def empty_log(database: Database) -> None:
    """Have what was deleted leave SQLite's write-ahead log too, where the old pages still lie.

    In the file itself ``secure_delete`` has overwritten it with zeros. Where somebody reads at this
    moment the log stays until the next time; PostgreSQL's own VACUUM and log are its operator's.
    """
    if database.is_sqlite:
        with database.outside_transactions() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
