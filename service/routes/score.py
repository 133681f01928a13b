"""``POST /v1/score``: one patient's records in, one explained risk out, to be read again."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from fhir_mappings.errors import UnprocessableError
from service import examples
from service.body import ACCEPTED, read_body
from service.identity.access import requires
from service.identity.caller import Caller
from service.kept_scores import read_score
from service.openapi import json_answer, problems
from service.score import NotScored, Scored, encoded
from service.score_records import Asked, microseconds, score_records
from service.serving import serving

router = APIRouter(tags=["score"])

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
    moment = None if as_of is None else microseconds(as_of)
    here = serving(request)
    # Before the body is read: without a model, the record need not be sent over.
    _ = here.model
    with here.room():
        body = await read_body(request, here.settings.body_limit)
        kept = await here.compute(
            lambda: score_records(
                here, caller, body, Asked(encounter_id, moment), route="/v1/score"
            )
        )
    return Response(encoded(kept.score), media_type="application/json")


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
    return Response(encoded(score.score), media_type="application/json")


def _refuse_other_parameters(request: Request) -> None:
    """Refuse parameters that are not ours or come twice.

    Passing over a misspelt ``encounter_id`` would answer for another stay than the caller means.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if set(names) - {"encounter_id", "as_of"}:
        raise UnprocessableError("a query parameter is neither encounter_id nor as_of")
    if len(names) > len(set(names)):
        raise UnprocessableError("a query parameter is given twice")
