"""``GET /v1/patients/{id}/disclosures``: who was shown a patient's record."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import Meta

from fhir_mappings.errors import UnprocessableError
from fhir_mappings.records.instants import as_datetime
from service.audit import disclosures
from service.audit.ledger import Entry
from service.audit.vocabulary import EVENTS, Event
from service.database import audit_entries
from service.database.audit_entries import Row
from service.identity.access import requires
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.openapi import json_answer, problems
from service.protection.sealing import index_of
from service.serving import Serving, serving

router = APIRouter(tags=["audit"])

PAGE: Final = 100
"""Disclosures on one page, unless fewer are asked for."""


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """To whom something was shown."""

    who: Annotated[str, Meta(description="The person or the system, as the issuer names them.")]
    issuer: Annotated[str, Meta(description="Who vouched for them.")]
    client: Annotated[str | None, Meta(description="The program that the person used.")]
    roles: Annotated[tuple[str, ...], Meta(description="Of a person; a system has none.")]


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """One access to the patient's record: the four things that 45 CFR 164.528(b)(2) asks for."""

    at: Annotated[str, Meta(description="When: ISO 8601, UTC.")]
    recipient: Annotated[
        Recipient | None, Meta(description="To whom; null where the operator did it by a command.")
    ]
    event: Annotated[str, Meta(description="What was done, as a code of the audit's vocabulary.")]
    description: Annotated[str, Meta(description="What was done, in words.")]
    purpose: Annotated[str | None, Meta(description="Why: HL7 v3 PurposeOfUse.")]
    outcome: Annotated[str, Meta(description="`success`, `refused` or `failed`.")]
    must_be_accounted_for: Annotated[
        bool,
        Meta(
            description="Whether 45 CFR 164.528 asks for it in an accounting. It does not for "
            "treatment, health care operations, and what the patient asked for."
        ),
    ]


class Disclosures(msgspec.Struct, frozen=True, kw_only=True):
    """An accounting of one patient's disclosures, newest first."""

    since: Annotated[str, Meta(description="Six years back: where the accounting begins.")]
    disclosures: tuple[Disclosure, ...]
    next: Annotated[
        str | None, Meta(description="The `cursor` of the page that follows; null on the last.")
    ]


EXAMPLE: Final = Disclosures(
    since="2020-03-10T08:00:00Z",
    disclosures=(
        Disclosure(
            at="2026-03-09T11:30:00.250000Z",
            recipient=Recipient(
                who="a.example", issuer="https://id.example.org", client="ehr", roles=("clinician",)
            ),
            event=Event.SCORE_GIVEN.value,
            description=EVENTS[Event.SCORE_GIVEN].meaning,
            purpose="TREAT",
            outcome="success",
            must_be_accounted_for=False,
        ),
    ),
    next=None,
)


@router.get(
    "/v1/patients/{id}/disclosures",
    summary="Who was shown a patient's record",
    description="An accounting of disclosures (45 CFR 164.528) for six years back, newest first: "
    "date, recipient, description and purpose of every access, and which of them the law asks for. "
    "A patient who is not known has none. Reading it is entered in the audit itself, and is in the "
    "accounting from then on.",
    responses={
        200: json_answer(Disclosures, "The accounting, a page of it.", EXAMPLE),
        **problems(401, 403, 422, 503),
    },
)
async def get_disclosures(
    request: Request,
    caller: Annotated[Caller, requires("AuditEvent", "s")],
    patient: Annotated[
        str,
        Path(
            alias="id",
            min_length=1,
            max_length=128,
            description="The Patient's id.",
            examples=["example"],
        ),
    ],
    cursor: Annotated[
        str | None,
        Query(
            max_length=20,
            description="Where to go on: `next` of the page before.",
            examples=["1024"],
        ),
    ] = None,
    count: Annotated[
        int, Query(ge=1, le=PAGE, description="How many at most.", examples=[PAGE])
    ] = PAGE,
) -> Response:
    """Look the patient's entries up, enter that, and answer."""
    confined_to = caller.only_patient("AuditEvent", "s")
    if confined_to not in (None, patient):
        raise ForbiddenError("The token is for another patient.", why="patient", patient=patient)
    before = _number(cursor)
    here = serving(request)
    with here.room():
        answer = await here.compute(lambda: _accounting(here, caller, patient, before, count))
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _accounting(
    here: Serving, caller: Caller, patient: str, before: int | None, count: int
) -> Disclosures:
    since = disclosures.since(datetime.now(UTC))
    audit = here.keeping.audit
    with audit.recorded() as work:
        # One more than is shown tells whether another page follows.
        rows = audit_entries.about_patient(
            work.connection,
            index_of(audit.keys, "patient", patient),
            since=since,
            before=before,
            most=count + 1,
        )
        shown = rows[:count]
        work.record(
            Entry(
                event=Event.DISCLOSURES_READ,
                caller=caller,
                patient=patient,
                route="/v1/patients/{id}/disclosures",
                details={"count": len(shown)},
            )
        )
    return Disclosures(
        since=_words(since),
        disclosures=tuple(_disclosure(row) for row in shown),
        next=str(shown[-1].number) if len(rows) > count else None,
    )


def _disclosure(row: Row) -> Disclosure:
    recipient = None
    if row.actor is not None:
        recipient = Recipient(
            who=row.actor,
            issuer=row.issuer or "",
            client=row.client,
            roles=tuple(row.roles.split()),
        )
    return Disclosure(
        at=_words(row.at),
        recipient=recipient,
        event=row.event,
        description=EVENTS[Event(row.event)].meaning,
        purpose=row.purpose,
        outcome=row.outcome,
        must_be_accounted_for=disclosures.must_be_accounted_for(row),
    )


def _words(at: int) -> str:
    return as_datetime(at).isoformat().replace("+00:00", "Z")


def _number(cursor: str | None) -> int | None:
    """The entry that a page ended with.

    Raises:
        UnprocessableError: if it is none of ours.
    """
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise UnprocessableError("cursor: not one that a page of this accounting named")
    return int(cursor)
