"""``/v1/forecast`` and ``/planning``: the readmissions to expect in the coming weeks, by unit."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response

from fhir_mappings.errors import RiskModelError
from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import json_answer, problems
from service.pages.page import TAG, page
from service.planning.drawing import drawn
from service.planning.examples import PLANNING
from service.planning.forecast import MOST_WEEKS, Planning, read_planning
from service.serving import serving

router = APIRouter()

STRUCTS: Final = (Planning,)
"""What this path answers."""

Weeks = Annotated[
    int, Query(ge=1, le=MOST_WEEKS, description="How many weeks ahead.", examples=[4])
]


@router.get(
    "/v1/forecast",
    tags=["work list"],
    summary="Expected readmissions by unit and week",
    description="Gives the number of readmissions to expect in each of the coming weeks, by the "
    "unit that discharged the patient, with the interval that 95 % of such weeks lie in; of the "
    "caller's units alone where the role is bound to units. It is made of the list's risks and of "
    "when readmissions happened in training. Units with fewer than eleven patients at home are "
    "shown together. The part `to_come` is low by about the share of discharges that were followed "
    "by a return: whoever came back is on the list with the new stay alone.",
    responses={
        200: json_answer(Planning, "The coming weeks.", PLANNING),
        **problems(401, 403, 422, 503),
    },
)
async def get_forecast(
    request: Request, caller: Annotated[Caller, requires("List", "r")], weeks: Weeks = 4
) -> Response:
    """Forecast from the list as it is."""
    here = serving(request)
    found = await here.compute(lambda: read_planning(here.keeping, caller, here.model, weeks))
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get("/planning", tags=[TAG], include_in_schema=False)
async def get_planning_page(
    request: Request, caller: Annotated[Caller, requires("List", "r")], weeks: Weeks = 4
) -> Response:
    """The same, as a page. Where the model has no curve, it says that and what to do about it."""
    here = serving(request)
    try:
        found = await here.compute(lambda: read_planning(here.keeping, caller, here.model, weeks))
    except RiskModelError as error:
        return page(request, "no_planning.html", why=str(error), status=503)
    return page(request, "planning.html", planning=found, drawn=drawn(found), weeks=weeks)
