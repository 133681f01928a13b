"""``/v1/month`` and ``/month``: what the calls of a month were, and what followed."""

from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response

from service.identity.access import requires
from service.identity.caller import Caller
from service.month.days import PATTERN
from service.month.examples import MONTH
from service.month.show import Month, MonthNotFoundError, counted_months, show_month
from service.month.words import ATTRIBUTES, BECAME, WHO
from service.openapi import json_answer, problems
from service.pages.page import TAG, page
from service.serving import Serving, serving

router = APIRouter()

STRUCTS: Final = (Month,)
"""What this path answers."""

Asked = Annotated[
    str | None,
    Query(
        pattern=PATTERN,
        description="On the hospital's clock; the newest that was counted by default.",
        examples=[MONTH.month],
    ),
]


@router.get(
    "/v1/month",
    tags=["work list"],
    summary="What the calls of a month were followed by",
    description="Gives the follow-ups of the discharges of a month, of the caller's units alone "
    "where the role is bound to units: how far they came, the readmissions in the days after a "
    "call and in those without one beside the number that the risks add up to, why cards were "
    "overridden, and each group's share of the calls beside its share of the need. Not a trial: "
    "`warnings` says what that means. Counts are given in steps of eleven. `readmit month` counts "
    "a month; what it has not counted is not there.",
    responses={
        200: json_answer(Month, "The month.", MONTH),
        **problems(401, 403, 404, 422, 503),
    },
)
async def get_month(
    request: Request, caller: Annotated[Caller, requires("List", "r")], month: Asked = None
) -> Response:
    """Add up the units that the caller may see."""
    here = serving(request)
    found = await here.compute(lambda: _month(here, caller, month))
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get("/month", tags=[TAG], include_in_schema=False)
async def get_month_page(
    request: Request, caller: Annotated[Caller, requires("List", "r")], month: Asked = None
) -> Response:
    """The same, as a page. Where nothing was counted yet, it says who counts."""
    here = serving(request)
    try:
        found = await here.compute(lambda: _month(here, caller, month))
    except MonthNotFoundError:
        if await here.compute(lambda: counted_months(here.keeping)):
            raise
        return page(request, "no_month.html")
    return page(
        request,
        "month.html",
        month=found,
        who=WHO,
        became=BECAME,
        reasons={one.code: one.display for one in here.playbook.override_reasons()},
        attributes=ATTRIBUTES,
    )


def _month(here: Serving, caller: Caller, month: str | None) -> Month:
    return show_month(
        here.keeping,
        caller,
        month,
        zone=ZoneInfo(here.profile.timezone),
        horizon_days=here.model.horizon_days,
    )
