"""Breaking the glass: one person opens one patient for an hour, says why, and is on record for it.

It opens the stays of other units. It does not widen a token that is confined to one patient: what a
person let a program see is not the program's to widen. And it does not lift a patient's opt-out:
they refused a prediction, not a treatment, and no emergency needs to know the risk of a readmission
(what a patient restricted may be used where emergency treatment needs it, 45 CFR
164.522(a)(1)(iii); a prediction is not that).
"""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from fhir_mappings.errors import ReadmitError
from fhir_mappings.events import SECOND
from fhir_mappings.records.instants import as_datetime, from_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import broken_glass
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.reach import reach_of
from service.identity.roles import Purpose
from service.keeping import Keeping
from service.protection.sealing import index_of, seal

EXPLANATION_CONTEXT: Final = "broken_glass.explanation"

LARGEST_REQUEST: Final = 10_000
"""Bytes of a request: a code and a few sentences."""


class BreakGlassError(ReadmitError):
    """A request to break the glass that gives no reason, or none of those that there are."""

    status = 422
    title = "No reason for breaking the glass"


class GlassReason(StrEnum):
    """Why somebody may look beyond their own units."""

    EMERGENCY_TREATMENT = "emergency_treatment"
    COVERING_UNIT = "covering_unit"
    TRANSFER_OF_CARE = "transfer_of_care"
    PATIENT_ASKED = "patient_asked"


class GlassRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why somebody opens a patient's record."""

    reason: GlassReason
    explanation: Annotated[
        str,
        Meta(
            min_length=10,
            max_length=1_000,
            description="What the auditor will read. Kept sealed, and nowhere else.",
        ),
    ]


class GlassBroken(msgspec.Struct, frozen=True, kw_only=True):
    """A patient's record is open to the caller."""

    until: Annotated[str, Meta(description="UTC.")]
    minutes: int
    purpose: Annotated[
        str, Meta(description="The purpose of use that is recorded for what is seen through it.")
    ]


def parse_glass_request(body: bytes) -> GlassRequest:
    """Read the request.

    Raises:
        BreakGlassError: if it is not one; the message quotes nothing.
    """
    try:
        request = msgspec.json.decode(body, type=GlassRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        request = None
    if request is None or not request.explanation.strip():
        codes = ", ".join(GlassReason)
        raise BreakGlassError(
            f"reason: one of {codes}; explanation: 10 to 1,000 characters; nothing else"
        )
    return request


def break_glass(
    keeping: Keeping,
    caller: Caller,
    patient: str,
    request: GlassRequest,
    *,
    minutes: int,
    route: str,
) -> GlassBroken:
    """Open a patient to a caller. Whether there is such a patient is not looked up, nor told.

    Raises:
        ForbiddenError: if a program asks, or the access is for another patient.
        DatabaseError: if it cannot be kept and entered in the audit; nothing is open then.
    """
    if caller.is_system:
        raise ForbiddenError(
            "A program has no reason of its own: a person breaks the glass.",
            why="program",
            patient=patient,
        )
    if not reach_of(caller, "Consent", "c").covers_patient(patient):
        raise ForbiddenError("The access is for another patient.", why="patient", patient=patient)
    now = _now()
    until = now + minutes * 60 * SECOND
    with keeping.audit.recorded() as work:
        broken_glass.keep(
            work.connection,
            broken_glass.Row(
                id=secrets.token_hex(16),
                issuer=caller.issuer,
                actor=caller.subject,
                patient_index=index_of(keeping.keys, "patient", patient),
                reason=request.reason.value,
                explanation_sealed=seal(keeping.keys, request.explanation, EXPLANATION_CONTEXT),
                at=now,
                until=until,
            ),
        )
        work.record(
            Entry(
                event=Event.GLASS_BROKEN,
                caller=msgspec.structs.replace(caller, purpose=Purpose.EMERGENCY),
                patient=patient,
                route=route,
                details={"reason": request.reason.value, "minutes": minutes},
            )
        )
    return GlassBroken(
        until=as_datetime(until).isoformat(timespec="seconds"),
        minutes=minutes,
        purpose=Purpose.EMERGENCY.value,
    )


def through_glass(keeping: Keeping, caller: Caller, patient: str) -> Caller | None:
    """The caller with the purpose of an emergency, where they broke the glass for this patient.

    None where they did not, where it is closed again, or where no role of theirs may any more.

    Raises:
        DatabaseError: if that cannot be looked up.
    """
    if not caller.granting("Consent", "c"):
        return None
    with keeping.database.reading() as connection:
        broken = broken_glass.is_broken(
            connection,
            issuer=caller.issuer,
            actor=caller.subject,
            patient_index=index_of(keeping.keys, "patient", patient),
            now=_now(),
        )
    return msgspec.structs.replace(caller, purpose=Purpose.EMERGENCY) if broken else None


def _now() -> int:
    return from_datetime(datetime.now(UTC))
