"""``/launch`` and ``/launch/callback``: from a chart in the EHR to the page of its patient."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.identity.access import open_to_all
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.issuers import PairedServer
from service.identity.origin import cookie_name, own_origin, set_framed_cookie
from service.identity.purpose import with_purpose
from service.identity.sessions import (
    Session,
    begin_session,
    cookies_of,
    end_session,
    set_cookie,
)
from service.identity.sign_in import (
    MINUTES,
    Begun,
    SignInError,
    browser_of,
    parameters_of,
    take_sign_in,
)
from service.pages.page import TAG
from service.serving import Serving, serving
from service.smart_launch.authorization import (
    Chart,
    LaunchError,
    begin_launch,
    opened_for,
    refuse_launch,
)
from service.smart_launch.scoring import (
    ROUTE,
    AnotherPatientError,
    ChartRecordsError,
    NoStayError,
    Opened,
    bundle_of,
    kept_of,
    score_chart,
)

router = APIRouter(tags=[TAG], include_in_schema=False)

BROWSER_COOKIE: Final = "readmit-launch"
"""Ties a launch to the browser that began it, in the EHR's frame too."""


@router.get("/launch")
async def launch(
    request: Request,
    _: Annotated[None, open_to_all("An EHR sends a browser whose person nobody knows yet.")],
) -> Response:
    """Send the browser to the EHR that it comes from, to find out who is there."""
    here = serving(request)
    with _as_launch():
        sent = parameters_of(request)
    server = here.trusted.launching(sent.get("iss", ""))
    if server is None:
        refuse_launch("server")
    if not sent.get("launch"):
        refuse_launch("launch")
    # Without a model nothing could be shown at the end.
    _model = here.model
    browser = browser_of(request, BROWSER_COOKIE)
    place = await begin_launch(
        here,
        server,
        sent["launch"],
        redirect_uri=own_origin(request) + ROUTE,
        browser=browser,
    )
    response = RedirectResponse(place, status_code=303)
    set_framed_cookie(request, response, BROWSER_COOKIE, browser, max_age=MINUTES * 60)
    return response


@router.get(ROUTE)
async def callback(
    request: Request,
    _: Annotated[None, open_to_all("It finds out who asks, by the code that they bring along.")],
) -> Response:
    """Take the browser back, score the patient of the chart, and lead to their page."""
    here = serving(request)
    with _as_launch():
        server, begun, code = await _returned(here, request)
        person, chart = await opened_for(here, server, begun, code)
    # From here on refusals are entered with the name of whoever was refused.
    request.state.caller = person
    if not person.may("RiskAssessment", "c"):
        await here.compute(lambda: _refused(here, person, chart, "no role"))
        raise ForbiddenError("Your account has no role here. Nothing was opened.")
    asking = with_purpose(person, person.granting("RiskAssessment", "c"), ())
    opened, records = await _opened(here, asking, chart)
    earlier = cookies_of(request)
    entry = Entry(
        event=Event.LAUNCHED,
        caller=asking,
        patient=chart.patient,
        route=ROUTE,
        details={"scored": opened.scored, "records": records},
    )
    session = await anyio.to_thread.run_sync(_begin, here, person, chart, entry, earlier)
    response = RedirectResponse(f"/risk/{opened.score_id}", status_code=303)
    set_cookie(request, response, session)
    return response


async def _returned(here: Serving, request: Request) -> tuple[PairedServer, Begun, str]:
    """The launch that a browser comes back from, with the code that it brings."""
    sent = parameters_of(request)
    browser = request.cookies.get(cookie_name(request, BROWSER_COOKIE))
    begun = await anyio.to_thread.run_sync(
        take_sign_in, here.keeping, sent.get("state", ""), browser
    )
    if begun.launch is None:
        refuse_launch("no launch")
    server = here.trusted.launching(begun.launch.fhir_server)
    # The operator may have changed the file since it began.
    if server is None or server.vouching != begun.issuer:
        refuse_launch("server")
    if sent.get("iss", begun.issuer) != begun.issuer:
        refuse_launch("another issuer")
    if "error" in sent or not sent.get("code"):
        refuse_launch("refused by the EHR")
    return server, begun, sent["code"]


async def _opened(here: Serving, caller: Caller, chart: Chart) -> tuple[Opened, str]:
    """The score to show, and whether it rests on records that were fetched now."""
    with here.room():
        try:
            bundle = await bundle_of(here, chart)
        except ChartRecordsError:
            kept = await here.compute(lambda: kept_of(here, chart))
            if kept is None:
                await here.compute(lambda: _refused(here, caller, chart, "no records"))
                raise
            return Opened(kept, 0), "kept"
        try:
            opened = await here.compute(lambda: score_chart(here, caller, chart, bundle))
        except AnotherPatientError:
            await here.compute(lambda: _refused(here, caller, chart, "another patient"))
            raise
        except NoStayError:
            await here.compute(lambda: _refused(here, caller, chart, "no stay"))
            raise
    return opened, "fetched"


def _begin(
    here: Serving, person: Caller, chart: Chart, entry: Entry, earlier: tuple[str, ...]
) -> Session:
    with here.keeping.audit.recorded() as work:
        for cookie in earlier:
            # As at a sign-in: an earlier session may be one that somebody else knows.
            end_session(work, cookie)
        work.record(entry)
        return begin_session(work, here.keeping, here.settings, person, chart.launch)


def _refused(here: Serving, caller: Caller, chart: Chart, why: str) -> None:
    here.keeping.audit.record(
        Entry(
            event=Event.LAUNCH_REFUSED,
            caller=caller,
            outcome="refused",
            patient=chart.patient,
            route=ROUTE,
            details={"why": why},
        )
    )


@contextmanager
def _as_launch() -> Iterator[None]:
    """What refuses a sign-in refuses a launch, in words that fit it; the log has the reason."""
    try:
        yield
    except SignInError:
        raise LaunchError from None
