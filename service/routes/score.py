"""``POST /v1/score``: one patient's records in, one explained risk out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response

from fhir_mappings.eligibility import OPTED_OUT
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.reading import read_bundle
from fhir_mappings.timeline import Timeline
from service import examples
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.body import ACCEPTED, read_body
from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import json_answer, problems
from service.score import NotScored, NotSent, Score, Scored, UnreadRecord, encoded
from service.scoring import choose_stay, score_stay
from service.serving import Serving, serving

router = APIRouter(tags=["score"])

UNREAD_SHOWN: Final = 20
"""How many unreadable parts an answer names; one bad export can hold thousands."""

WITHOUT: Final[dict[Literal["Patient", "Encounter", "Medication"], str]] = {
    "Patient": "Birth date, sex and death are not known.",
    "Encounter": "What belongs to them is not seen as part of a stay or of an earlier one.",
    "Medication": "The drugs that are named by them are not known.",
}
"""What a reader must know where the record refers to what was not sent."""

_DATE_AND_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_BUNDLE: Final = {
    "required": True,
    "description": "A FHIR R4 Bundle of one patient: the Patient, and as much of the record as "
    "there is. What the model does not know is passed over.",
    "content": {
        content_type: {
            "schema": {
                "type": "object",
                "required": ["resourceType"],
                "properties": {
                    "resourceType": {"const": "Bundle"},
                    "type": {"type": "string"},
                    "entry": {"type": "array", "items": {"type": "object"}},
                },
            },
            "example": examples.BUNDLE,
        }
        for content_type in ACCEPTED
    },
}


@router.post(
    "/v1/score",
    summary="Score one stay",
    description="Gives the risk of an unplanned readmission after a hospital stay, with the "
    "reasons, the records behind each, LACE and HOSPITAL beside it, and what was missing or old. "
    "A stay outside the population that the model is meant for is answered with "
    "`status: not_scored`, the reason, and no number at all. Nothing of the request is kept.",
    responses={
        200: json_answer(
            Scored | NotScored,
            "The stay's risk, or why it has none.",
            examples.ANSWERS,
        ),
        **problems(400, 408, 413, 415, 422, 503),
    },
    openapi_extra={"requestBody": _BUNDLE},
)
async def post_score(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "c")],
    encounter_id: Annotated[
        str | None,
        Query(
            max_length=128,
            description="An Encounter of the stay to score. Without it: the latest inpatient stay "
            "that has begun at `as_of`.",
            examples=["example-stay"],
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        Query(
            max_length=64,
            description="Score as the record stood at this moment: date and time with offset "
            "(ISO 8601; in a URL, `+` is written `%2B`). Without it: the end of the stay where it "
            "has ended, else now.",
            examples=["2026-03-09T11:30:00Z"],
            json_schema_extra={"format": "date-time"},
        ),
    ] = None,
) -> Response:
    """Read the record, score the stay, answer."""
    _refuse_other_parameters(request)
    moment = None if as_of is None else _microseconds(as_of)
    here = serving(request)
    # Before the body is read: without a model, the record need not be sent over.
    _ = here.model
    with here.room():
        body = await read_body(request, here.settings.body_limit)
        content = await here.compute(lambda: _answer(here, caller, body, encounter_id, moment))
    return Response(content, media_type="application/json")


def _answer(
    here: Serving, caller: Caller, body: bytes, encounter_id: str | None, as_of: int | None
) -> bytes:
    """Score, and enter it in the audit before anything is answered."""
    score = _score(here, body, encounter_id, as_of)
    here.keeping.audit.record(
        Entry(
            event=Event.SCORE_GIVEN,
            caller=caller,
            patient=score.subject,
            route="/v1/score",
            details={
                "status": score.status,
                "model": score.model.name,
                "version": score.model.version,
            },
        )
    )
    return encoded(score)


def _score(here: Serving, body: bytes, encounter_id: str | None, as_of: int | None) -> Score:
    records = read_bundle(body, here.profile)
    timeline = Timeline(records.subject, records.events, here.concepts, here.profile)
    stay = choose_stay(timeline, encounter_id, as_of)
    if as_of is None:
        as_of = _now() if stay.end is None else stay.end
    score = score_stay(
        here.model,
        timeline,
        stay,
        as_of,
        opt_outs=here.opt_outs,
        encounter_id=encounter_id and encounter_id.removeprefix("Encounter/"),
        max_reasons=here.settings.max_reasons,
    )
    if isinstance(score, NotScored) and score.reason.code == OPTED_OUT:
        return score  # and nothing else of the record
    unread = tuple(
        UnreadRecord(element=rejection.element, reason=rejection.reason)
        for rejection in records.rejected[:UNREAD_SHOWN]
    )
    not_sent = tuple(
        NotSent(resource_type=name, consequence=words)
        for name, words in WITHOUT.items()
        if name in records.not_sent
    )
    if unread or not_sent:
        return msgspec.structs.replace(score, unread=unread, not_sent=not_sent)
    return score


def _now() -> int:
    return (datetime.now(UTC) - _EPOCH) // _MICROSECOND


def _microseconds(as_of: str) -> int:
    """The moment that a parameter names, microseconds UTC.

    Raises:
        UnprocessableError: if it is not a date and time with an offset. A time without one is
            another moment in every zone, and a guess would move events across it.
    """
    try:
        # The parser of the standard library reads more than it should: what follows a NUL, say.
        if _DATE_AND_TIME.fullmatch(as_of) is None:
            raise ValueError  # noqa: TRY301  the same answer as for the 30th of February
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        raise UnprocessableError(
            "as_of: not an ISO 8601 date and time (in a URL, '+' is written %2B)"
        ) from None
    if moment.tzinfo is None:
        raise UnprocessableError("as_of: no offset from UTC; end it with Z or with +hh:mm")
    if not 1900 <= moment.year < 3000:
        raise UnprocessableError("as_of: not within the years 1900 to 2999")
    return (moment - _EPOCH) // _MICROSECOND


def _refuse_other_parameters(request: Request) -> None:
    """Refuse parameters that are not ours or come twice.

    Passing over a misspelt ``encounter_id`` would answer for another stay than the caller means.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if set(names) - {"encounter_id", "as_of"}:
        raise UnprocessableError("a query parameter is neither encounter_id nor as_of")
    if len(names) > len(set(names)):
        raise UnprocessableError("a query parameter is given twice")
