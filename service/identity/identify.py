"""From a request to its caller: a bearer token, a session's cookie, or development mode."""

import anyio.to_thread
from fastapi import Request

from service.identity.caller import DEVELOPER, Caller
from service.identity.csrf import refuse_cross_site, refuse_forged
from service.identity.errors import UnauthenticatedError
from service.identity.sessions import Session, cookies_of, find_session
from service.serving import Serving, serving


async def identify(request: Request) -> Caller:
    """Say who asks.

    A request that carries credentials is judged by them alone, in development mode too: a wrong
    token must not be answered as if none had been sent.

    Raises:
        UnauthenticatedError: if nobody is identified.
        DatabaseError: if the database cannot be asked, or cannot take that a token was used.
        CrossSiteError: if a page of another site had the browser send this.
    """
    here = serving(request)
    if "authorization" in request.headers:
        sent = request.headers.getlist("authorization")
        return await here.bearer.caller(sent, request.url.path)
    cookies = cookies_of(request)
    if cookies:
        return await _by_session(request, here, cookies)
    if here.settings.development:
        # Without this, any page that is open in the developer's browser could ask as they do.
        refuse_cross_site(request)
        return DEVELOPER
    raise UnauthenticatedError


async def _by_session(request: Request, here: Serving, cookies: tuple[str, ...]) -> Caller:
    for cookie in cookies:
        session = await anyio.to_thread.run_sync(find_session, here.keeping, here.settings, cookie)
        if session is not None and _still_trusted(here, session):
            request.state.session = session
            await refuse_forged(request, here.keeping.keys, session.id)
            return session.caller
    raise UnauthenticatedError


def _still_trusted(here: Serving, session: Session) -> bool:
    """Whether the operator has struck off neither who vouched for the person nor their EHR."""
    if session.launch is not None and here.trusted.launching(session.launch.fhir_server) is None:
        return False
    return session.caller.issuer in here.trusted.issuers
