"""From a request to its caller: a bearer token, a session's cookie, or development mode."""

from fastapi import Request

from service.identity.caller import DEVELOPER, Caller
from service.identity.errors import UnauthenticatedError
from service.serving import serving


async def identify(request: Request) -> Caller:
    """Say who asks.

    A request that carries credentials is judged by them alone, in development mode too: a wrong
    token must not be answered as if none had been sent.

    Raises:
        UnauthenticatedError: if nobody is identified.
        DatabaseError: if a token may be used once and that cannot be entered.
    """
    here = serving(request)
    if "authorization" in request.headers:
        return await here.bearer.caller(request.headers.getlist("authorization"))
    if here.settings.development:
        return DEVELOPER
    raise UnauthenticatedError
