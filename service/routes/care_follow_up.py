"""``/follow-up/{stay}``: one patient's follow-up, as a page to read and to work it."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.body import read_form
from service.care_pages.asked import LONGEST_QUERY, address_of
from service.care_pages.follow_up_form import Typed, typed_of, wanted_of
from service.care_pages.follow_up_page import (
    checked_query,
    follow_up_page,
    page_address,
    read_follow_up,
)
from service.follow_ups.follow_up import FollowUpChangeError
from service.follow_ups.keep import ConflictError, change
from service.identity.access import requires
from service.identity.caller import Caller
from service.pages.page import TAG, page
from service.serving import Serving, serving

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)

FOLLOW_UP: Final = "/follow-up/{stay}"

Stay = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@router.get(FOLLOW_UP)
async def get_follow_up_page(
    request: Request,
    caller: Annotated[Caller, requires("Task", "r")],
    stay: Stay,
    back: Annotated[str, Query(max_length=LONGEST_QUERY)] = "",
    saved: str = "",
) -> Response:
    """Read it with its history, enter that it was read, draw the page."""
    here = serving(request)
    read = await here.compute(
        lambda: read_follow_up(
            here.keeping, caller, stay, opted_out=here.opt_outs.listed, route=FOLLOW_UP
        )
    )
    shown = follow_up_page(read, caller, back=back, saved=bool(saved))
    return page(request, "care_follow_up.html", shown=shown)


@router.post(FOLLOW_UP)
async def post_follow_up(
    request: Request, caller: Annotated[Caller, requires("Task", "u")], stay: Stay
) -> Response:
    """Write the change, enter it, and lead back; or show why not, with all that was typed."""
    here = serving(request)
    typed = typed_of(await read_form(request))
    try:
        await here.compute(lambda: _change(here, caller, stay, typed))
    except (ConflictError, FollowUpChangeError) as refused:
        return await _again(request, caller, stay, typed, refused)
    back = checked_query(typed.back, caller)
    place = address_of(back, saved=True) if typed.to_the_list else page_address(stay, back)
    return RedirectResponse(place, status_code=303)


def _change(here: Serving, caller: Caller, stay: str, typed: Typed) -> None:
    change(
        here.keeping,
        caller,
        stay,
        typed.version,
        wanted_of(typed, caller),
        opted_out=here.opt_outs.listed,
        route=FOLLOW_UP,
    )


async def _again(
    request: Request,
    caller: Caller,
    stay: str,
    typed: Typed,
    refused: ConflictError | FollowUpChangeError,
) -> Response:
    here = serving(request)
    read = await here.compute(
        lambda: read_follow_up(
            here.keeping, caller, stay, opted_out=here.opt_outs.listed, route=FOLLOW_UP
        )
    )
    shown = follow_up_page(
        read,
        caller,
        back=typed.back,
        typed=typed,
        fault=str(refused),
        conflict=isinstance(refused, ConflictError),
    )
    return page(request, "care_follow_up.html", status=refused.status, shown=shown)
