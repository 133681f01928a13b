"""``POST /v1/score``: one patient's records in, one explained risk out, to be read again."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from fhir_mappings.errors import UnprocessableError
from service import examples
from service.body import ACCEPTED, read_body
from service.identity.access import requires
from service.identity.caller import Caller
from service.kept_scores import keep_score, read_score
from service.openapi import json_answer, problems
from service.record_scoring import read_record, score_record
from service.score import NotScored, Scored, encoded
from service.scoring import choose_stay
from service.serving import Serving, serving
from service.views import seen

router = APIRouter(tags=["score"])

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
    "`status: not_scored`, the reason, and no number at all. The answer is kept, sealed, and can "
    "be read again by its `score_id`; the records that were sent are not kept.",
    responses={
        200: json_answer(
            Scored | NotScored,
            "The stay's risk, or why it has none.",
            examples.ANSWERS,
        ),
        **problems(400, 401, 403, 408, 413, 415, 422, 503),
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


@router.get(
    "/v1/scores/{score_id}",
    summary="Read a score again",
    description="Gives a score as it was given, or what the caller's roles show of it. A score "
    "that does not exist and one that is not for the caller are answered alike.",
    responses={
        200: json_answer(Scored | NotScored, "The score as it was given.", examples.ANSWERS),
        **problems(401, 403, 404, 422, 503),
    },
)
async def get_score(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "r")],
    score_id: Annotated[
        str,
        Path(
            pattern="^[0-9a-f]{32}$",
            description="The `score_id` of an answer.",
            examples=[examples.SCORE_ID],
        ),
    ],
) -> Response:
    """Read what was kept, enter that it was read, answer."""
    here = serving(request)
    score = await here.compute(
        lambda: read_score(
            here.keeping,
            caller,
            score_id,
            opted_out=here.opt_outs.listed,
            route="/v1/scores/{score_id}",
        )
    )
    return Response(encoded(score), media_type="application/json")


def _answer(
    here: Serving, caller: Caller, body: bytes, encounter_id: str | None, as_of: int | None
) -> bytes:
    """Score what the caller may see, and keep it before anything is answered."""
    record = read_record(here, body)
    stay = choose_stay(record.timeline, encounter_id, as_of)
    asked = score_record(here, caller, record, stay, encounter_id, as_of)
    kept = keep_score(
        here.keeping, asked.sight.caller, asked.score, unit=stay.site, route="/v1/score"
    )
    here.metrics.scored(kept)
    return encoded(seen(kept, asked.sight.view, here.keeping.keys))


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
