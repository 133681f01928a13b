"""``/work-list``: the list of whom to follow up, as a page for care managers."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from service.care_pages.asked import LIST, SAVED, parse_asked
from service.care_pages.list_page import list_page
from service.care_pages.reading import read_morning
from service.identity.access import requires
from service.identity.caller import Caller
from service.pages.page import SIMULATED, TAG, page
from service.serving import serving

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)


@router.get(LIST)
async def get_work_list_page(
    request: Request, caller: Annotated[Caller, requires("List", "r")]
) -> Response:
    """Read the list, enter each patient in the audit, draw the page."""
    here = serving(request)
    sent = request.query_params.multi_items()
    asked = parse_asked(sent, caller)
    read = await here.compute(
        lambda: read_morning(
            here.keeping, caller, asked, opted_out=here.opt_outs.listed, route=LIST
        )
    )
    shown = list_page(
        read,
        asked,
        caller,
        simulated=here.profile.name == SIMULATED,
        saved=SAVED in request.query_params,
    )
    return page(request, "care_list.html", shown=shown)
