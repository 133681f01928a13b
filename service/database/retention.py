"""Deleting what was kept long enough. The audit is not among it: nothing deletes from it."""

from typing import Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, delete, func, select

from service.database import tables
from service.database.engine import Database


class Kept(NamedTuple):
    """A table whose rows have an end."""

    what: str
    """How the audit names what was deleted."""
    moment: "Column[int]"
    """Rows whose moment (microseconds UTC) lies before a time given are deleted."""
    as_long_as: "Column[int] | None" = None
    """The moment of what they belong to, by the same ``stay_index``: they stay as long as it."""

    def before(self, moment: int) -> ColumnElement[bool]:
        """Which rows are to go."""
        if self.as_long_as is None:
            return self.moment < moment
        whole = self.as_long_as.table
        stays = select(whole.c.stay_index).where(
            whole.c.stay_index == self.moment.table.c.stay_index, self.as_long_as >= moment
        )
        return (self.moment < moment) & ~stays.exists()


SCORES: Final = Kept("scores", tables.SCORES.c.made_at)
CARDS: Final = (
    Kept("shown_cards", tables.SHOWN_CARDS.c.shown_at),
    Kept("card_feedback", tables.CARD_FEEDBACK.c.received_at),
)
"""Kept as long as the scores that they show."""
WORK_LIST: Final = Kept("work_list", tables.WORK_LIST.c.discharged_at)
"""Kept as long as the scores that its rows are about, counted from the discharge."""

FOLLOW_UPS: Final = (
    Kept(
        "follow_up_changes",
        tables.FOLLOW_UP_CHANGES.c.at,
        as_long_as=tables.FOLLOW_UPS.c.changed_at,
    ),
    Kept("follow_ups", tables.FOLLOW_UPS.c.changed_at),
)
"""Of a follow-up that is still worked on, the first change stays as well: a history has no gap."""
MONTHS: Final = Kept("months", tables.MONTHS.c.made_at)
"""Kept as long as the follow-ups that were counted."""
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
    found = select(func.count()).select_from(kept.moment.table).where(kept.before(moment))
    return connection.execute(found).scalar_one()


def delete_before(connection: Connection, kept: Kept, moment: int) -> int:
    """Delete the rows before a moment (microseconds UTC) and say how many there were."""
    return connection.execute(delete(kept.moment.table).where(kept.before(moment))).rowcount


def empty_log(database: Database) -> None:
    """Have what was deleted leave SQLite's write-ahead log too, where the old pages still lie.

    In the file itself ``secure_delete`` has overwritten it with zeros. Where somebody reads at this
    moment the log stays until the next time; PostgreSQL's own VACUUM and log are its operator's.
    """
    if database.is_sqlite:
        with database.outside_transactions() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
