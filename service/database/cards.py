"""Cards that an EHR was given, and what it said became of them."""

from collections.abc import Iterator
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Insert, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from service.database.tables import CARD_FEEDBACK, SCORES, SHOWN_CARDS

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


class CardOfPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A card that was shown in a period, and the last that was said of it."""

    card: str
    service: str
    user_index: str
    unit: str | None
    band: str
    shown_at: int
    patient_index: str | None
    """None where the score is not kept any more."""
    outcome: str | None = None
    """None where nothing was reported."""
    reason: str | None = None


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


def of_period(connection: Connection, since: int, until: int) -> list[CardOfPeriod]:
    """The cards that were shown from one moment until before another, microseconds UTC.

    Of several reports on one card the latest counts, by the moment that the EHR names. When it was
    reported makes no difference: EHRs report in batches.
    """
    said = connection.execute(
        select(CARD_FEEDBACK.c.card, CARD_FEEDBACK.c.outcome, CARD_FEEDBACK.c.reason)
        .join(SHOWN_CARDS, SHOWN_CARDS.c.card == CARD_FEEDBACK.c.card)
        .where(*_shown_in(since, until))
        .order_by(CARD_FEEDBACK.c.at, CARD_FEEDBACK.c.received_at, CARD_FEEDBACK.c.id)
    )
    last = {card: (outcome, reason) for card, outcome, reason in said}
    columns = ("card", "service", "user_index", "unit", "band", "shown_at")
    found = connection.execute(
        select(*(SHOWN_CARDS.c[name] for name in columns), SCORES.c.patient_index)
        .outerjoin(SCORES, SCORES.c.id == SHOWN_CARDS.c.score_id)
        .where(*_shown_in(since, until))
        .order_by(SHOWN_CARDS.c.shown_at, SHOWN_CARDS.c.card)
    )
    cards = []
    for row in found:
        outcome, reason = last.get(row.card, (None, None))
        cards.append(CardOfPeriod(**row._mapping, outcome=outcome, reason=reason))
    return cards


def scores_of_period(connection: Connection, since: int, until: int) -> Iterator[bytes]:
    """The sealed scores of the cards of a period, one for each card, as far as they are kept."""
    query = (
        select(SCORES.c.score_sealed)
        .join(SHOWN_CARDS, SHOWN_CARDS.c.score_id == SCORES.c.id)
        .where(*_shown_in(since, until))
        .order_by(SHOWN_CARDS.c.shown_at, SHOWN_CARDS.c.card)
    )
    yield from connection.execution_options(yield_per=500).execute(query).scalars()


def _shown_in(since: int, until: int) -> tuple[ColumnElement[bool], ...]:
    return (SHOWN_CARDS.c.shown_at >= since, SHOWN_CARDS.c.shown_at < until)


def _enter(connection: Connection, insertion: Insert, row: msgspec.Struct) -> bool:
    try:
        # A savepoint: after a refused row, PostgreSQL takes nothing more in the same transaction.
        with connection.begin_nested():
            connection.execute(insertion, msgspec.structs.asdict(row))
    except IntegrityError:
        return False
    return True
