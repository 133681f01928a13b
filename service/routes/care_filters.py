"""``/work-list/filters``: what somebody asks the list every morning, saved and deleted."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from service.body import read_form
from service.care_pages.asked import address_of, parse_query
from service.care_pages.saving import delete_filter, save_filter
from service.identity.access import signed_in
from service.identity.caller import Caller
from service.pages.page import TAG
from service.serving import serving

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)

FILTERS: Final = "/work-list/filters"
DELETE: Final = "/work-list/filters/{filter_id}/delete"

FilterId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@router.post(FILTERS)
async def post_filter(request: Request, caller: Annotated[Caller, signed_in()]) -> Response:
    """Save the query under the name, and show what it asks for."""
    here = serving(request)
    sent = await read_form(request)
    name, query = sent.get("name", ""), sent.get("query", "")
    kept = await here.compute(lambda: save_filter(here.keeping, caller, name, query))
    return RedirectResponse(address_of(kept, saved=True), status_code=303)


@router.post(DELETE)
async def post_delete(
    request: Request, caller: Annotated[Caller, signed_in()], filter_id: FilterId
) -> Response:
    """Delete it, and show the list as it was."""
    here = serving(request)
    back = parse_query((await read_form(request)).get("query", ""), caller).query
    await here.compute(lambda: delete_filter(here.keeping, caller, filter_id))
    return RedirectResponse(address_of(back, saved=True), status_code=303)
