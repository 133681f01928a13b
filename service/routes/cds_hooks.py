"""``/cds-services``: CDS Hooks 2.0, from discovery to card to feedback."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request, Response

from fhir_mappings.errors import ReadmitError
from service.body import read_body
from service.cds_hooks.answer import Cards, answered
from service.cds_hooks.call import read_call
from service.cds_hooks.examples import CALL, CARDS, FEEDBACK
from service.cds_hooks.feedback import Feedback, keep_feedback, read_feedback
from service.cds_hooks.records import bundle_of
from service.cds_hooks.services import SERVICES, Discovered, Service, discovered
from service.identity.access import requires, signed_in
from service.identity.caller import Caller
from service.openapi import json_answer, problems
from service.serving import serving

router = APIRouter(prefix="/cds-services", tags=["cds-hooks"])

FEEDBACK_LIMIT: Final = 1_000_000
"""Bytes of a batch of feedback."""

STRUCTS: Final = (Discovered, Cards, Feedback)
"""What these paths answer and read."""

_ServiceId = Annotated[
    str,
    Path(
        max_length=64,
        description="The `id` of a service, as discovery tells it.",
        examples=list(SERVICES),
    ),
]


class NoSuchServiceError(ReadmitError):
    """There is no CDS service of this id."""

    status = 404
    title = "No such CDS service"


def _body(description: str, required: list[str], example: Any) -> dict[str, Any]:
    schema = {"type": "object", "required": required}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


@router.get(
    "",
    summary="Discover the CDS services",
    description="Tells which hooks are answered and what each wants prefetched. It asks for the "
    "EHR's JWT, as CDS Hooks does of every call, and for no scope: nothing here is of a patient.",
    responses={
        200: json_answer(Discovered, "The services.", discovered()),
        **problems(401, 503),
    },
)
async def get_services(_: Annotated[Caller, signed_in()]) -> Response:
    """Tell which services there are."""
    return Response(msgspec.json.encode(discovered()), media_type="application/json")


@router.post(
    "/{service_id}",
    summary="Ask for guidance on what a user is doing",
    description="Scores the stay and answers with a card, or with none: where the stay is outside "
    "of what the model is for, the patient opted out, the risk is below what the site shows, or "
    "the card was shown for this stay in this band before. What was not prefetched is fetched from "
    "`fhirServer` if the operator has paired it with the caller; else the answer is 412.",
    responses={
        200: json_answer(Cards, "The card; an empty list where there is nothing to say.", CARDS),
        **problems(400, 401, 403, 404, 408, 412, 413, 415, 422, 503),
    },
    openapi_extra=_body("A call of one hook.", ["hook", "hookInstance", "context"], CALL),
)
async def post_call(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "c")],
    service_id: _ServiceId,
) -> Response:
    """Read the call, gather its records, answer."""
    service = _service(service_id)
    here = serving(request)
    # Before the body is read: without a model, the record need not be sent over.
    _ = here.model
    with here.room():
        body = await read_body(request, here.settings.body_limit)
        call = await here.compute(lambda: read_call(body, service))
        bundle = await bundle_of(here, caller, call)
        cards = await here.compute(lambda: answered(here, caller, service, call, bundle))
    return Response(msgspec.json.encode(cards), media_type="application/json")


@router.post(
    "/{service_id}/feedback",
    summary="Report what became of cards",
    description="Takes a batch of outcomes. The same card, outcome and moment is kept once, "
    "however often it is reported; a card that the caller was never given is passed over.",
    responses={
        200: {
            "description": "It is kept.",
            "content": {"application/json": {"schema": {"type": "object"}, "example": {}}},
        },
        **problems(400, 401, 403, 404, 408, 413, 415, 422, 503),
    },
    openapi_extra=_body("A batch of outcomes.", ["feedback"], FEEDBACK),
)
async def post_feedback(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "c")],
    service_id: _ServiceId,
) -> Response:
    """Keep what is reported."""
    _service(service_id)
    here = serving(request)
    with here.room():
        body = await read_body(request, min(FEEDBACK_LIMIT, here.settings.body_limit))
        feedback = read_feedback(body)
        await here.compute(
            lambda: keep_feedback(here.keeping, caller, service_id, here.playbook, feedback)
        )
    return Response(b"{}", media_type="application/json")


def _service(service_id: str) -> Service:
    try:
        return SERVICES[service_id]
    except KeyError:
        raise NoSuchServiceError("There is no CDS service of this id.") from None
