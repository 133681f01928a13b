"""Showing a card once: for a stay not again, unless its band has changed since.

A card that comes back with every opening of the chart is not read any more. What was shown is kept,
so that feedback finds its card and a site can tell how many cards its people get.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Entry, Work
from service.audit.vocabulary import Event
from service.cards.card import Card
from service.database import cards
from service.identity.caller import Caller
from service.protection.keys import Keys
from service.protection.sealing import index_of, seal
from service.score import Score, Scored

PATIENT_CONTEXT: Final = "shown_cards.patient"
ROUTE: Final = "/cds-services/{service_id}"


class Viewing(NamedTuple):
    """Who is about to see a card, where, and of which stay."""

    caller: Caller
    """The EHR."""
    service: str
    """The id of the CDS service."""
    user: str
    """Who looks at the chart, ``Type/id``, by the EHR's word."""
    stay: str
    """The stay's first encounter: it stays the same while further ones are merged into it."""
    unit: str | None


def show_once(work: Work, keys: Keys, viewing: Viewing, score: Score, card: Card) -> bool:
    """Whether the card is to be shown; entered in the audit either way.

    Args:
        work: the transaction in which the score is kept.
        keys: the operator's.
        viewing: who would see it.
        score: what the card shows.
        card: the card.

    Raises:
        DatabaseError: if it cannot be entered.
    """
    assert isinstance(score, Scored)  # noqa: S101  nothing else makes a card
    # Of one EHR: encounters of two may have the same id.
    stay = "\0".join((viewing.caller.issuer, score.subject, viewing.stay))
    index = index_of(keys, "stay", stay)
    last = cards.last_of_stay(work.connection, index)
    first = last is None or last.band != score.band
    if first:
        first = cards.enter_shown(
            work.connection,
            cards.ShownCard(
                card=card.uuid,
                score_id=str(score.score_id),
                service=viewing.service,
                issuer=viewing.caller.issuer,
                user_index=index_of(keys, "user", f"{viewing.caller.issuer}\0{viewing.user}"),
                patient_sealed=seal(keys, score.subject, PATIENT_CONTEXT),
                stay_index=index,
                number=1 if last is None else last.number + 1,
                unit=viewing.unit,
                band=score.band,
                shown_at=from_datetime(datetime.now(UTC)),
            ),
        )
    work.record(
        Entry(
            event=Event.CARD_SHOWN,
            caller=viewing.caller,
            patient=score.subject,
            route=ROUTE,
            details={
                "card": card.uuid,
                "service": viewing.service,
                "band": score.band,
                "suppressed": not first,
            },
        )
    )
    return first
