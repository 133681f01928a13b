"""``/sign-in``, ``/sign-in/callback`` and ``/sign-out``: a browser's way in, and out again."""

from typing import Annotated, Final
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from fhir_mappings.errors import ReadmitError
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.identity.access import open_to_all, signed_in
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.id_tokens import issuers_for_people, person_of
from service.identity.issuers import TrustedIssuer, endpoints_of
from service.identity.origin import cookie_name, is_secure, own_origin
from service.identity.sessions import (
    Session,
    begin_session,
    cookies_of,
    drop_cookies,
    end_session,
    set_cookie,
)
from service.identity.sign_in import (
    MINUTES,
    begin_sign_in,
    browser_of,
    local_path,
    parameters_of,
    refuse,
    take_sign_in,
)
from service.pages.framing import let_the_ehr_frame_it, within_a_frame
from service.pages.page import TAG, page
from service.serving import Serving, serving

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)

BROWSER_COOKIE: Final = "readmit-sign-in"
"""Ties a sign-in to the browser that began it. Lax: the issuer sends the browser back."""

CALLBACK: Final = "/sign-in/callback"


class NoIssuerError(ReadmitError):
    """There is no issuer that people can sign in with, or not the one that was asked for."""

    status = 404
    title = "There is no such issuer to sign in with"


@router.get("/sign-in")
async def sign_in(
    request: Request,
    _: Annotated[None, open_to_all("It begins to find out who asks.")],
    issuer: str | None = None,
    return_to: str = "/",
) -> Response:
    """Send the browser to the issuer; with several, have the person choose."""
    back = local_path(return_to)
    here = serving(request)
    offered = issuers_for_people(here.trusted)
    if issuer is None and len(offered) > 1:
        return page(request, "sign_in.html", issuers=_choices(offered, back))
    chosen = next(iter(offered.values()), None) if issuer is None else offered.get(issuer)
    if chosen is None or chosen.declared.client_id is None:
        raise NoIssuerError("Whoever runs the service names the issuers (READMIT_ISSUERS).")
    client_id = chosen.declared.client_id
    endpoint = (await endpoints_of(chosen.declared)).authorization_endpoint
    if endpoint is None:
        raise NoIssuerError("The issuer names no address to sign in at.")
    browser, redirect_uri = browser_of(request, BROWSER_COOKIE), own_origin(request) + CALLBACK
    place = await anyio.to_thread.run_sync(
        lambda: begin_sign_in(
            here.keeping,
            issuer=chosen.declared.issuer,
            authorization_endpoint=endpoint,
            client_id=client_id,
            redirect_uri=redirect_uri,
            browser=browser,
            return_to=back,
        )
    )
    response = RedirectResponse(place, status_code=303)
    response.set_cookie(
        cookie_name(request, BROWSER_COOKIE),
        browser,
        max_age=MINUTES * 60,
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(CALLBACK)
async def callback(
    request: Request,
    _: Annotated[None, open_to_all("It finds out who asks, by the code that they bring along.")],
) -> Response:
    """Take the browser back from the issuer, and begin its session."""
    here = serving(request)
    sent = parameters_of(request)
    browser = request.cookies.get(cookie_name(request, BROWSER_COOKIE))
    begun = await anyio.to_thread.run_sync(
        take_sign_in, here.keeping, sent.get("state", ""), browser
    )
    if begun.launch is not None:
        refuse("a launch")
    issuer = issuers_for_people(here.trusted).get(begun.issuer)
    if issuer is None or sent.get("iss", begun.issuer) != begun.issuer:
        refuse("another issuer")
    if "error" in sent or not sent.get("code"):
        refuse("refused by the issuer")
    person = await person_of(issuer, begun, sent["code"])
    session = await anyio.to_thread.run_sync(_begin, here, person, cookies_of(request))
    if session is None:
        raise ForbiddenError("Your account has no role here. Nobody was signed in.")
    response = RedirectResponse(begun.return_to, status_code=303)
    set_cookie(request, response, session)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, caller: Annotated[Caller, signed_in()]) -> Response:
    """End the session, for every worker and at once."""
    here = serving(request)
    session: Session | None = getattr(request.state, "session", None)
    if session is not None:
        await anyio.to_thread.run_sync(_end, here, caller, session)
    response: Response
    if within_a_frame(request):
        # The start page may not be framed: the EHR's frame would be blank.
        request.state.session = request.state.caller = None
        let_the_ehr_frame_it(request)
        response = page(request, "signed_out.html")
    else:
        response = RedirectResponse("/", status_code=303)
    drop_cookies(request, response)
    return response


def _begin(here: Serving, person: Caller, earlier: tuple[str, ...]) -> Session | None:
    """Begin a session and record it; or record that the person has no role here."""
    with here.keeping.audit.recorded() as work:
        if not person.roles:
            work.record(
                Entry(
                    event=Event.SIGN_IN_REFUSED,
                    caller=person,
                    outcome="refused",
                    route=CALLBACK,
                    details={"why": "no role"},
                )
            )
            return None
        for cookie in earlier:
            # A session from before the sign-in may be one that somebody else knows.
            end_session(work, cookie)
        work.record(Entry(event=Event.SIGNED_IN, caller=person, route=CALLBACK))
        return begin_session(work, here.keeping, here.settings, person)


def _end(here: Serving, caller: Caller, session: Session) -> None:
    with here.keeping.audit.recorded() as work:
        end_session(work, session.id)
        work.record(Entry(event=Event.SIGNED_OUT, caller=caller, route="/sign-out"))


def _choices(offered: dict[str, TrustedIssuer], return_to: str) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "path": "/sign-in?" + urlencode({"issuer": name, "return_to": return_to}),
        }
        for name in offered
    ]
