"""``/fhir/List`` and ``/fhir/Group``: the list of whom to follow up, as FHIR R4."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from service.fhir_out.formats import FHIR, json_alone
from service.fhir_out.work_list_examples import GROUP, LIST
from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import fhir_answer, outcomes
from service.serving import Serving, serving
from service.work_list.read import MOST_LISTED, WorkListPage, read_page
from service.work_list.wanted import PARAMETERS, Wanted, parse_wanted

router = APIRouter(tags=["fhir"], dependencies=[Depends(json_alone)], default_response_class=FHIR)

LIST_PATH: Final = "/fhir/List/work-list"
GROUP_PATH: Final = "/fhir/Group/work-list"

_FILTERS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": one.name,
            "in": "query",
            "required": False,
            "description": one.documentation,
            "schema": {"type": "string", "examples": [one.example]},
        }
        for one in PARAMETERS
        if one.name != "sort"
    ]
}

Count = Annotated[
    int,
    Query(
        alias="_count", ge=1, le=MOST_LISTED, description="At most so many patients.", examples=[20]
    ),
]


@router.get(
    LIST_PATH,
    summary="The ranked list, as FHIR",
    description="A List of the RiskAssessments of whom to follow up, the highest remaining risk "
    "first, narrowed by the same filters as `GET /v1/worklist`.",
    responses={
        200: fhir_answer("List", "The list.", LIST),
        **outcomes(401, 403, 406, 422, 503),
    },
    openapi_extra=_FILTERS,
)
async def get_list(
    request: Request,
    caller: Annotated[Caller, requires("List", "r")],
    count: Count = 100,
) -> Response:
    """Read the list, enter each patient in the audit, answer."""

    def answer(page: WorkListPage) -> dict[str, Any]:
        from service.fhir_out.work_list import ranked

        return ranked(page.patients, page.as_of)

    return await _answered(request, caller, count, LIST_PATH, answer)


@router.get(
    GROUP_PATH,
    summary="The patients of the list, as FHIR",
    description="A Group of the patients of the same list, to be copied to a server whose "
    "`Group/$export` shall give their records.",
    responses={
        200: fhir_answer("Group", "The group.", GROUP),
        **outcomes(401, 403, 406, 422, 503),
    },
    openapi_extra=_FILTERS,
)
async def get_group(
    request: Request,
    caller: Annotated[Caller, requires("Group", "r")],
    count: Count = MOST_LISTED,
) -> Response:
    """Read the list, enter each patient in the audit, answer."""

    def answer(page: WorkListPage) -> dict[str, Any]:
        from service.fhir_out.work_list import members

        return members(page.patients)

    return await _answered(request, caller, count, GROUP_PATH, answer)


async def _answered(
    request: Request, caller: Caller, count: int, route: str, answer: Any
) -> Response:
    here = serving(request)
    asked = [
        one
        for one in request.query_params.multi_items()
        if one[0] not in ("_count", "_format", "sort")
    ]
    wanted = parse_wanted(asked, caller)
    # fhir.resources takes half a second to import: in a thread, by the first request that needs it.
    return await here.compute(lambda: _made(here, caller, wanted, count, route, answer))


def _made(
    here: Serving, caller: Caller, wanted: Wanted, count: int, route: str, answer: Any
) -> Response:
    page = read_page(
        here.keeping,
        caller,
        wanted,
        opted_out=here.opt_outs.listed,
        after=None,
        limit=count,
        route=route,
        resource=route.split("/")[2],
    )
    return FHIR(msgspec.json.encode(answer(page)))
