"""What became of a card, as the EHR reports it: in batches, and sometimes more than once.

Source: CDS Hooks 2.0, "Feedback"; invariants cds-fb-1 to cds-fb-3. The same report is kept once. A
card that this EHR was never given is passed over: otherwise anybody with a token could fill the
database.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Entry, Work
from service.audit.vocabulary import Event
from service.cards.playbook import Playbook
from service.cds_hooks.call import element_at_fault
from service.cds_hooks.showing import PATIENT_CONTEXT
from service.database import cards
from service.identity.caller import Caller
from service.keeping import Keeping
from service.protection.keys import Keys
from service.protection.sealing import seal, unseal

COMMENT_CONTEXT: Final = "card_feedback.comment"
ROUTE: Final = "/cds-services/{service_id}/feedback"
OTHER: Final = "other"
"""Stands for a reason that is none of the playbook's: what it says may be anything."""
AT_MOST: Final = 500


class FeedbackError(ReadmitError):
    """The body is not what CDS Hooks asks of feedback."""

    status = 400
    title = "Not CDS Hooks feedback"


class AcceptedSuggestion(msgspec.Struct, frozen=True):
    """A suggestion that was taken, by its uuid."""

    id: Annotated[str, Meta(max_length=64)]


class Reason(msgspec.Struct, frozen=True):
    """A Coding; of ours where it is one of the playbook's."""

    code: Annotated[str, Meta(max_length=256)]
    system: str | None = None


class OverrideReason(msgspec.Struct, frozen=True, rename="camel"):
    """Why a card was overridden: a reason, a comment, or both."""

    reason: Reason | None = None
    user_comment: Annotated[str, Meta(max_length=10_000)] | None = None


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one card."""

    card: Annotated[str, Meta(max_length=64)]
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Annotated[str, Meta(max_length=64)]
    accepted_suggestions: tuple[AcceptedSuggestion, ...] | None = None
    override_reason: OverrideReason | None = None


class Feedback(msgspec.Struct, frozen=True):
    """A batch of reports."""

    feedback: Annotated[tuple[Report, ...], Meta(max_length=AT_MOST)]


def read_feedback(body: bytes) -> Feedback:
    """Read a batch: all of it, or none.

    Raises:
        FeedbackError: naming the element that is missing or wrong; no value is quoted.
    """
    try:
        feedback = msgspec.json.decode(body, type=Feedback)
    except msgspec.ValidationError as error:
        raise FeedbackError(element_at_fault(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FeedbackError("the body is not JSON") from None
    for number, report in enumerate(feedback.feedback):
        place = f"feedback[{number}]"
        if report.outcome == "accepted" and report.accepted_suggestions is None:
            raise FeedbackError(f"{place}.acceptedSuggestions: required where it was accepted")
        why = report.override_reason
        if why is not None and why.reason is None and why.user_comment is None:
            raise FeedbackError(f"{place}.overrideReason: needs a reason or a userComment")
        if _moment(report.outcome_timestamp) is None:
            raise FeedbackError(f"{place}.outcomeTimestamp: no date and time with offset")
    return feedback


def keep_feedback(
    keeping: Keeping, caller: Caller, service: str, playbook: Playbook, feedback: Feedback
) -> None:
    """Keep a batch and enter it in the audit, in one transaction.

    Args:
        keeping: the database, the keys and the audit.
        caller: the EHR.
        service: the id of the CDS service.
        playbook: whose reasons are told apart.
        feedback: as it was read.

    Raises:
        DatabaseError: if it cannot be kept.
        AuditError: if it cannot be entered in the audit.
    """
    with keeping.database.reading() as connection:
        found = {one.card: cards.shown(connection, one.card) for one in feedback.feedback}
    known = {
        uuid: card
        for uuid, card in found.items()
        if card is not None and (card.issuer, card.service) == (caller.issuer, service)
    }
    reports = [one for one in feedback.feedback if one.card in known]
    if not reports:
        return
    codes = {one.code for one in playbook.override_reason}
    with keeping.audit.recorded() as work:
        for report in reports:
            _keep(work, keeping.keys, caller, known[report.card], codes, report)


def _keep(
    work: Work, keys: Keys, caller: Caller, card: cards.ShownCard, codes: set[str], report: Report
) -> None:
    moment = _moment(report.outcome_timestamp) or 0
    why = report.override_reason or OverrideReason()
    reason = None
    if why.reason is not None:
        reason = why.reason.code if why.reason.code in codes else OTHER
    comment = why.user_comment
    said = f"{report.card}\0{report.outcome}\0{moment}"
    first = cards.enter_feedback(
        work.connection,
        cards.Feedback(
            id=hashlib.sha256(said.encode()).hexdigest(),
            card=report.card,
            outcome=report.outcome,
            at=moment,
            accepted=len(report.accepted_suggestions or ()),
            reason=reason,
            comment_sealed=seal(keys, comment, COMMENT_CONTEXT) if comment else None,
            received_at=from_datetime(datetime.now(UTC)),
        ),
    )
    work.record(
        Entry(
            event=Event.CARD_FEEDBACK,
            caller=caller,
            patient=unseal(keys, card.patient_sealed, PATIENT_CONTEXT),
            route=ROUTE,
            details={
                "card": report.card,
                "outcome": report.outcome,
                "reason": reason,
                "repeated": not first,
            },
        )
    )


def _moment(text: str) -> int | None:
    """Microseconds UTC; None where it is no moment of a time that anybody lives in."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or not 1900 <= moment.year < 3000:
        return None
    return from_datetime(moment)
