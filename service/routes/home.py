"""``GET /`` and what its page is made with."""

from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from service.identity.access import open_to_all
from service.identity.errors import UnauthenticatedError
from service.identity.id_tokens import issuers_for_people
from service.identity.identify import identify
from service.identity.reach import reach_of
from service.identity.roles import ROLES
from service.identity.sessions import cookies_of, drop_cookies
from service.pages.page import TAG, page, stylesheet
from service.pages.words import ROLE_NAMES, may_do
from service.serving import serving
from service.surroundings.headers import declare_unchanging
from service.surroundings.limits import declare_not_identified

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)


class Place(NamedTuple):
    """Something to open, and the access that it asks for."""

    path: str
    name: str
    about: str
    resource: str | None = None
    permission: str = "r"


PLACES: Final = (
    Place(
        "/work-list",
        "The work list",
        "Whom to follow up, the highest risk that is left first; and how far each is worked.",
        "List",
    ),
    Place(
        "/v1/model",
        "The risk model",
        "What it was made for, how it did on stays that it had not seen, and what it looks at.",
        "DocumentReference",
    ),
    Place(
        "/month",
        "The month",
        "Who was called, what followed for them and for the others, and who got the calls.",
        "List",
    ),
    Place(
        "/planning",
        "Planning",
        "How many readmissions the coming weeks bring, by unit.",
        "List",
    ),
    Place("/model-card", "The risk model, in plain words", "For patients and the public."),
    Place("/openapi.json", "The API's description", "For programs that ask this service."),
)
"""What the start page leads to; each is shown to those who may open it."""


@router.get("/")
async def home(
    request: Request,
    _: Annotated[None, open_to_all("Says what the service is, and to callers who they are.")],
) -> Response:
    """Say who is signed in and what they may do; or how to sign in."""
    try:
        request.state.caller = caller = await identify(request)
        serving(request).rates.take(caller)
    except UnauthenticatedError:
        if "authorization" in request.headers or cookies_of(request):
            declare_not_identified(request)
        can_sign_in = bool(issuers_for_people(serving(request).trusted))
        response = page(request, "welcome.html", can_sign_in=can_sign_in)
        if cookies_of(request):
            drop_cookies(request, response)
        return response
    return page(
        request,
        "home.html",
        sees_patients=caller.may("RiskAssessment", "r"),
        # Of no unit: seen by those alone who see all.
        every_unit=reach_of(caller, "RiskAssessment", "r").covers_unit(None),
        roles=[
            {"name": name, "why": ROLES[role].why, "may_do": may_do(role)}
            for role, name in ROLE_NAMES.items()
            if role in caller.roles
        ],
        places=[
            place
            for place in PLACES
            if place.resource is None or caller.may(place.resource, place.permission)
        ],
    )


@router.get("/assets/{name}")
async def asset(
    request: Request,
    name: str,
    _: Annotated[None, open_to_all("The look of the pages says nothing.")],
) -> Response:
    """The stylesheet, under the name that its content gives it."""
    path, content = stylesheet()
    if f"/assets/{name}" != path:
        raise HTTPException(404)
    # Another content has another name: this one never changes.
    declare_unchanging(request)
    return Response(content, media_type="text/css")
