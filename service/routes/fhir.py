"""``/fhir``: the risk as FHIR R4, by an operation, a read and a search, and what of it there is."""

from email.utils import format_datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from fhir_mappings.errors import UnprocessableError
from service import examples
from service.body import ACCEPTED, FORM, has_body, read_body, read_fields
from service.fhir_out import examples as fhir_examples
from service.fhir_out.formats import FHIR, json_alone, refuse_other_format
from service.fhir_out.parameters import AS_OF, ENCOUNTER, read_inputs
from service.fhir_out.search import SEARCH_PARAMETERS, parse_search
from service.identity.access import accesses, open_to_all, requires
from service.identity.caller import Caller
from service.kept_scores import ScoreNotFoundError, read_score
from service.kept_search import search_scores
from service.openapi import fhir_answer, outcomes
from service.score_records import Asked, microseconds, score_records
from service.serving import Serving, serving
from service.views import View

OPERATION: Final = "/fhir/$readmission-risk"
SEARCH: Final = "/fhir/RiskAssessment"
POSTED_SEARCH: Final = "/fhir/RiskAssessment/_search"
READ: Final = "/fhir/RiskAssessment/{score_id}"

router = APIRouter(tags=["fhir"], dependencies=[Depends(json_alone)], default_response_class=FHIR)

_RECORDS: Final[dict[str, Any]] = {
    "required": True,
    "description": "A Bundle of one patient's records, or Parameters with `record` (that Bundle, "
    "or single resources), `encounter` and `asOf`.",
    "content": {
        content_type: {
            "schema": {
                "type": "object",
                "required": ["resourceType"],
                "properties": {"resourceType": {"enum": ["Bundle", "Parameters"]}},
            },
            "example": examples.BUNDLE,
        }
        for content_type in ACCEPTED
    },
}


@router.post(
    OPERATION,
    summary="Score one stay, as FHIR",
    description="Scores as `POST /v1/score` does, and answers a Bundle: RiskAssessment, the Device "
    "and the Provenance of it, and a Flag where the risk is high. `probabilityDecimal` is a "
    "fraction: 0.25 is 25 %. A stay without a risk is answered by an OperationOutcome in the "
    "Bundle, and by no RiskAssessment.",
    responses={
        200: fhir_answer("Bundle", "The risk, or why there is none.", fhir_examples.OPERATION),
        **outcomes(400, 401, 403, 406, 408, 413, 415, 422, 503),
    },
    openapi_extra={"requestBody": _RECORDS},
)
async def post_readmission_risk(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "c")],
    encounter: Annotated[
        str | None,
        Query(
            max_length=128,
            description="An Encounter of the stay; without it, the latest inpatient stay.",
            examples=["example-stay"],
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        Query(
            alias=AS_OF,
            max_length=64,
            description="Score as the record stood at this moment: date and time with offset. "
            "Without it: the end of the stay where it has ended, else now.",
            examples=["2026-03-09T11:30:00Z"],
            json_schema_extra={"format": "date-time"},
        ),
    ] = None,
) -> Response:
    """Read the records, score the stay, answer."""
    _refuse_other_parameters(request)
    here = serving(request)
    # Before the body is read: without a model, the record need not be sent over.
    _ = here.model
    with here.room():
        body = await read_body(request, here.settings.body_limit)
        return await here.compute(lambda: _scored(here, caller, body, encounter, as_of))


@router.get(
    READ,
    summary="Read one RiskAssessment",
    description="Gives a score as RiskAssessment, or what the caller's roles show of it. One that "
    "does not exist, one that is not for the caller, and a stay that was not scored are answered "
    "alike.",
    responses={
        200: fhir_answer("RiskAssessment", "The assessment.", fhir_examples.ASSESSMENT),
        **outcomes(401, 403, 404, 406, 422, 503),
    },
)
async def get_risk_assessment(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "r")],
    score_id: Annotated[
        str, Path(description="The id of the assessment.", examples=[examples.SCORE_ID])
    ],
) -> Response:
    """Read what was kept, enter that it was read, answer."""
    here = serving(request)
    if not score_id.isalnum() or not score_id.isascii():
        raise ScoreNotFoundError  # no id of ours, and nothing that a database should be asked for
    return await here.compute(lambda: _read(here, caller, score_id))


@router.get(
    SEARCH,
    summary="Search RiskAssessments",
    description="Gives the assessments of one patient, the newest first, as far as the caller's "
    "roles and units show them: none where there are none, and none where none is for the caller. "
    "A search names a patient, an encounter or an `_id`. Unknown parameters are passed over, or "
    "refused with `Prefer: handling=strict`.",
    responses={
        200: fhir_answer("Bundle", "A page of the search.", fhir_examples.SEARCHSET),
        **outcomes(400, 401, 403, 406, 422, 503),
    },
    openapi_extra={
        "parameters": [
            {
                "name": one.name,
                "in": "query",
                "required": False,
                "description": one.documentation,
                "schema": {"type": "string", "examples": [one.example]},
            }
            for one in SEARCH_PARAMETERS
        ]
    },
)
async def search_risk_assessments(
    request: Request, caller: Annotated[Caller, requires("RiskAssessment", "s")]
) -> Response:
    """Read what was kept, enter that it was listed, answer."""
    return await _search(request, caller, request.query_params.multi_items(), SEARCH)


@router.post(
    POSTED_SEARCH,
    summary="Search RiskAssessments, by a form",
    description="The same search, for whoever must not have a patient's id in an address: the "
    "parameters come as a form, in the URL, or in both, and mean the same.",
    responses={
        200: fhir_answer("Bundle", "A page of the search.", fhir_examples.SEARCHSET),
        **outcomes(400, 401, 403, 406, 408, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": False,
            "description": "The parameters of the search.",
            "content": {
                FORM: {
                    "schema": {
                        "type": "object",
                        "properties": {
                            one.name: {"type": "string", "description": one.documentation}
                            for one in SEARCH_PARAMETERS
                        },
                    },
                    "example": {"patient": "Patient/example-patient", "_count": "20"},
                }
            },
        }
    },
)
async def post_search(
    request: Request, caller: Annotated[Caller, requires("RiskAssessment", "s")]
) -> Response:
    """Read the form, then search."""
    pairs = request.query_params.multi_items()
    if has_body(request):
        fields = await read_fields(request)
        for name, value in fields:
            if name == "_format":
                refuse_other_format(value)
        pairs += fields
    return await _search(request, caller, pairs, POSTED_SEARCH)


@router.get(
    "/fhir/metadata",
    summary="What the FHIR side can do",
    description="The CapabilityStatement, made from the routes.",
    responses={
        200: fhir_answer("CapabilityStatement", "The statement.", fhir_examples.CAPABILITY),
        **outcomes(406, 422),
    },
)
async def get_metadata(
    request: Request, _: Annotated[None, open_to_all("A system reads it before it has a token.")]
) -> Response:
    """Describe what there is."""
    here = serving(request)
    routes = {f"{one.method} {one.path}" for one in accesses(request.app)}

    def answer() -> Response:
        from service.fhir_out.capability import capability_statement

        return _fhir(capability_statement(routes, here.settings.own_url))

    return await here.compute(answer)


@router.get(
    "/fhir/OperationDefinition/readmission-risk",
    summary="How $readmission-risk is asked",
    description="The OperationDefinition: inputs, and what is returned.",
    responses={
        200: fhir_answer("OperationDefinition", "The definition.", fhir_examples.DEFINITION),
        **outcomes(406, 422),
    },
)
async def get_operation_definition(
    request: Request, _: Annotated[None, open_to_all("A system reads it before it has a token.")]
) -> Response:
    """Describe the operation."""
    here = serving(request)

    def answer() -> Response:
        from service.fhir_out.capability import operation_definition

        return _fhir(operation_definition(here.settings.own_url))

    return await here.compute(answer)


# fhir.resources takes half a second to import: it is loaded by the first request that needs it, in
# a thread of its own, and not by everything that imports the service.


def _scored(
    here: Serving, caller: Caller, body: bytes, encounter: str | None, as_of: str | None
) -> Response:
    from service.fhir_out.bundles import operation_bundle

    inputs = read_inputs(body, encounter, as_of)
    moment = None if inputs.as_of is None else microseconds(inputs.as_of, AS_OF)
    asked = Asked(inputs.encounter, moment)
    kept = score_records(here, caller, inputs.bundle, asked, route=OPERATION)
    return _fhir(operation_bundle(kept, here.settings.own_url))


async def _search(
    request: Request, caller: Caller, pairs: list[tuple[str, str]], route: str
) -> Response:
    here = serving(request)
    asked = parse_search(pairs, request.headers.getlist("prefer"))

    def answer() -> Response:
        from service.fhir_out.bundles import search_bundle

        found = search_scores(
            here.keeping, caller, asked.search, opted_out=here.opt_outs.listed, route=route
        )
        return _fhir(search_bundle(asked, found, here.settings.own_url))

    return await here.compute(answer)


def _read(here: Serving, caller: Caller, score_id: str) -> Response:
    from service.fhir_out.bundles import assessment

    kept = read_score(
        here.keeping,
        caller,
        score_id,
        opted_out=here.opt_outs.listed,
        route=READ,
        only_scored=True,
    )
    answer = _fhir(assessment(kept))
    if kept.view is View.WHOLE:
        answer.headers["Last-Modified"] = format_datetime(kept.made_at, usegmt=True)
    return answer


def _fhir(resource: dict[str, Any]) -> Response:
    return FHIR(msgspec.json.encode(resource))


def _refuse_other_parameters(request: Request) -> None:
    """Refuse parameters of the operation that it does not have, or that come twice.

    Passing over a misspelt ``encounter`` would answer for another stay than the caller means.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if set(names) - {ENCOUNTER, AS_OF, "_format"}:
        raise UnprocessableError(f"a query parameter is neither {ENCOUNTER} nor {AS_OF}")
    if len(names) > len(set(names)):
        raise UnprocessableError("a query parameter is given twice")
