"""From a call and its records to the cards that it is answered with: one, or none.

No card is an answer too: the stay is outside of what the model is for, the patient opted out, the
risk is below what the site shows, or the card was shown for this stay before.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from fhir_mappings.errors import UnprocessableError
from fhir_mappings.records.instants import from_datetime
from fhir_mappings.stays import Stay
from service.audit.ledger import Work
from service.cards.card import Card
from service.cards.show import card_of
from service.cds_hooks.call import HookCall, HookCallError
from service.cds_hooks.prefetch import LackingDataError
from service.cds_hooks.services import Service
from service.cds_hooks.showing import ROUTE, Viewing, show_once
from service.identity.caller import Caller
from service.kept_scores import keep_score
from service.score import Score
from service.score_records import Asked, Record, read_record, score_record
from service.scoring import choose_stay
from service.serving import Serving

DAY: Final = 86_400_000_000
"""Microseconds."""


class Cards(msgspec.Struct, frozen=True):
    """What a CDS service answers: guidance, or an empty list where there is nothing to say."""

    cards: tuple[Card, ...]


def answered(
    here: Serving, caller: Caller, service: Service, call: HookCall, bundle: bytes
) -> Cards:
    """Score the stay that a call is about, keep what is said of it, and give the card.

    Score, card and both entries in the audit are one transaction: a card that nobody could account
    for is not shown.

    Raises:
        HookCallError: if the records are of another patient than the call.
        LackingDataError: if the records do not hold the Encounter that the call is about.
        ForbiddenError: if the stay is not for the caller.
        DatabaseError: if it cannot be kept, or entered in the audit.
        AuditError: likewise.
    """
    record = read_record(here, bundle)
    if record.records.subject != call.context.patient_id:
        raise HookCallError("prefetch: of another patient than context.patientId")
    stay = _stay(record, call, here.model.horizon_days)
    if stay is None:
        return Cards(())
    encounter = call.context.encounter_id if service.encounter_required else None
    asked = score_record(here, caller, record, stay, Asked(encounter))
    viewing = Viewing(
        caller=asked.sight.caller,
        service=service.description.id,
        user=call.context.user_id,
        stay=stay.encounters[0],
        unit=stay.site,
    )
    shown: list[Card] = []

    def show(work: Work, score: Score) -> None:
        card = _card(here, score, caller.issuer)
        if card is not None and show_once(work, here.keeping.keys, viewing, score, card):
            shown.append(card)

    kept = keep_score(
        here.keeping,
        viewing.caller,
        asked.score,
        unit=stay.site,
        route=ROUTE,
        row=asked.row,
        beside=show,
    )
    here.metrics.scored(kept.score)
    return Cards(tuple(shown))


def _stay(record: Record, call: HookCall, horizon_days: int) -> Stay | None:
    """The stay that a call is about; None where there is none that a card could be about."""
    encounter = call.context.encounter_id
    if call.hook == "encounter-discharge":
        try:
            return choose_stay(record.timeline, encounter, None)
        except UnprocessableError:
            if any(one.source == f"Encounter/{encounter}" for one in record.records.events):
                return None  # it is known, and no hospital stay
            raise LackingDataError("prefetch: encounters: context.encounterId lacking") from None
    try:
        latest = choose_stay(record.timeline, None, _now())
    except UnprocessableError:
        return None
    # Of a stay whose thirty days are over, there is nothing left to predict.
    over = latest.end is not None and latest.end < _now() - horizon_days * DAY
    return None if over else latest


def _card(here: Serving, score: Score, issuer: str) -> Card | None:
    assert isinstance(score.score_id, str)  # noqa: S101  it was given one to be kept by
    return card_of(
        score,
        here.playbook,
        score_id=score.score_id,
        today=datetime.now(UTC).date(),
        model_card=f"{here.settings.own_url}/v1/model",
        # An EHR that cannot launch us would show a link that leads nowhere.
        patient_page=(
            f"{here.settings.own_url}/launch" if here.trusted.launched_from(issuer) else None
        ),
    )


def _now() -> int:
    return from_datetime(datetime.now(UTC))
