"""``/v1/patients/{patient_id}``: the scores that one patient was given, and opening them."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from service import examples
from service.body import read_body
from service.identity.access import requires
from service.identity.break_glass import (
    LARGEST_REQUEST,
    GlassBroken,
    GlassRequest,
    break_glass,
    parse_glass_request,
)
from service.identity.caller import Caller
from service.kept_scores import MOST_LISTED, list_scores
from service.openapi import json_answer, problems
from service.score_list import PatientScores
from service.serving import serving

router = APIRouter(tags=["patients"])

SCORES: Final = "/v1/patients/{patient_id}/scores"
BREAK_GLASS: Final = "/v1/patients/{patient_id}/break-glass"

PatientId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=128,
        description="The Patient's id; for a data scientist, the pseudonym.",
        examples=["example-patient"],
    ),
]

_REASON: Final[dict[str, Any]] = {
    "required": True,
    "description": "Why the patient's record is opened.",
    "content": {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{GlassRequest.__name__}"},
            "example": {
                "reason": "covering_unit",
                "explanation": "On call for cardiology tonight; the patient's nurse has called.",
            },
        }
    },
}


@router.get(
    SCORES,
    summary="List one patient's scores",
    description="Gives the scores of one patient in short, the newest first, as far as the "
    "caller's roles and units show them. Where there are none, and where none is for the caller, "
    "the answer is the same.",
    responses={
        200: json_answer(PatientScores, "The scores, the newest first.", examples.SCORES),
        **problems(401, 403, 404, 422, 503),
    },
)
async def get_patient_scores(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "s")],
    patient_id: PatientId,
    after: Annotated[
        str | None,
        Query(
            pattern="^[0-9a-f]{32}$",
            description="Go on behind the score of this id: `next` of the answer before.",
            examples=[examples.SCORE_ID],
        ),
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MOST_LISTED, description="At most so many.", examples=[20])
    ] = 20,
) -> Response:
    """Read what was kept, enter that it was listed, answer."""
    here = serving(request)
    listed = await here.compute(
        lambda: list_scores(
            here.keeping,
            caller,
            patient_id,
            opted_out=here.opt_outs.listed,
            after=after,
            limit=limit,
            route=SCORES,
        )
    )
    return Response(msgspec.json.encode(listed), media_type="application/json")


@router.post(
    BREAK_GLASS,
    status_code=201,
    summary="Break the glass for one patient",
    description="Opens one patient's stays of all units to the caller for a while, against a "
    "reason that is kept and entered in the audit. What is seen through it is recorded with the "
    "purpose ETREAT. A patient's opt-out stands. The answer does not tell whether there is such a "
    "patient.",
    responses={
        201: json_answer(
            GlassBroken,
            "The patient is open to the caller.",
            GlassBroken(until="2026-03-09T12:31:00+00:00", minutes=60, purpose="ETREAT"),
        ),
        **problems(401, 403, 408, 413, 415, 422, 503),
    },
    openapi_extra={"requestBody": _REASON},
)
async def post_break_glass(
    request: Request,
    caller: Annotated[Caller, requires("Consent", "c")],
    patient_id: PatientId,
) -> Response:
    """Keep the reason, enter it, open the patient."""
    here = serving(request)
    reason = parse_glass_request(await read_body(request, LARGEST_REQUEST))
    broken = await here.compute(
        lambda: break_glass(
            here.keeping,
            caller,
            patient_id,
            reason,
            minutes=here.settings.break_glass_minutes,
            route=BREAK_GLASS,
        )
    )
    return Response(msgspec.json.encode(broken), status_code=201, media_type="application/json")
