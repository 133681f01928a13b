"""Cards that an EHR was given, and what it said became of them."""

from typing import Final

import msgspec
from sqlalchemy import Connection, Insert, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from service.database.tables import CARD_FEEDBACK, SHOWN_CARDS

# Made once: to build a statement takes longer than to run it.
_SHOWN: Final = insert(SHOWN_CARDS)
_FEEDBACK: Final = insert(CARD_FEEDBACK)
_LAST_OF_STAY: Final = (
    select(SHOWN_CARDS)
    .where(SHOWN_CARDS.c.stay_index == bindparam("stay"))
    .order_by(SHOWN_CARDS.c.number.desc())
    .limit(1)
)


class ShownCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card that was given. ``shown_at`` is microseconds UTC."""

    card: str
    """Its uuid."""
    score_id: str
    service: str
    """The id of the CDS service."""
    issuer: str
    """Of the EHR that it was given to."""
    user_index: str
    """Who looked at the chart, by the EHR's word and a keyed index."""
    patient_sealed: bytes
    stay_index: str
    """The stay, within this EHR."""
    number: int
    """The how-manieth card of the stay, from 1."""
    unit: str | None
    band: str
    shown_at: int


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a card. Times are microseconds UTC."""

    id: str
    card: str
    outcome: str
    at: int
    accepted: int
    """How many suggestions were taken."""
    reason: str | None
    comment_sealed: bytes | None
    received_at: int


def last_of_stay(connection: Connection, stay_index: str) -> ShownCard | None:
    """The card that was shown last for a stay; None before the first."""
    found = connection.execute(_LAST_OF_STAY, {"stay": stay_index}).one_or_none()
    return None if found is None else ShownCard(**found._mapping)


def shown(connection: Connection, card: str) -> ShownCard | None:
    """A card that was given; None where there is none of that uuid."""
    found = connection.execute(select(SHOWN_CARDS).where(SHOWN_CARDS.c.card == card)).one_or_none()
    return None if found is None else ShownCard(**found._mapping)


def enter_shown(connection: Connection, card: ShownCard) -> bool:
    """Enter a card; False where another process was first with this number of the stay."""
    return _enter(connection, _SHOWN, card)


def enter_feedback(connection: Connection, feedback: Feedback) -> bool:
    """Enter what became of a card; False where the same was reported before."""
    return _enter(connection, _FEEDBACK, feedback)


def _enter(connection: Connection, insertion: Insert, row: msgspec.Struct) -> bool:
    try:
        # A savepoint: after a refused row, PostgreSQL takes nothing more in the same transaction.
        with connection.begin_nested():
            connection.execute(insertion, msgspec.structs.asdict(row))
    except IntegrityError:
        return False
    return True
