"""Other sites' pages must not act in the name of whoever is signed in (CSRF).

A browser sends a session's cookie along with what another site's page asks of us. Two things tell
that apart from our own pages: what the browser itself says about where the request comes from
(Fetch Metadata, ``Sec-Fetch-Site``; the Origin header of RFC 6454 from browsers that do not send
it), and a token that only our pages hold. Requests with a bearer token need neither: no browser
adds one by itself.
"""

import hmac
from http import HTTPMethod
from typing import Final

from fastapi import Request

from fhir_mappings.errors import ReadmitError
from service.body import read_form
from service.identity.origin import own_origin
from service.protection.keys import Keys
from service.protection.sealing import index_of

FIELD: Final = "csrf_token"
"""The form field that carries the token."""

HEADER: Final = "X-CSRF-Token"
"""The header that carries it where no form is sent."""

_SAFE: Final = frozenset({HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.OPTIONS})


class CrossSiteError(ReadmitError):
    """A request did not come from a page of this service, or from one that is out of date."""

    status = 403
    title = "Not sent from a page of this service"


def token_of(keys: Keys, session_id: str) -> str:
    """The token of a session: an HMAC, so that nothing more need be kept."""
    return index_of(keys, "csrf", session_id)


def refuse_cross_site(request: Request) -> None:
    """Refuse a request that changes something and that a browser says comes from elsewhere.

    Raises:
        CrossSiteError: if it does.
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        # `none`: typed or reloaded by the person, and no page's doing.
        allowed = site in ("same-origin", "none")
    else:
        origin = request.headers.get("origin")
        allowed = origin is None or origin == own_origin(request)
    if not allowed:
        raise CrossSiteError("The request came from a page of another site.")


async def refuse_forged(request: Request, keys: Keys, session_id: str) -> None:
    """Refuse a request of a session that changes something and that none of its pages made.

    The body is read only where it is a form: what other routes read stays theirs.

    Raises:
        CrossSiteError: if it comes from another site, or lacks the session's token.
        ReadmitError: if it is a form that cannot be read (``service.body.read_form``).
    """
    if request.method in _SAFE:
        return
    refuse_cross_site(request)
    sent = request.headers.get(HEADER) or (await read_form(request)).get(FIELD, "")
    if not hmac.compare_digest(sent.encode(), token_of(keys, session_id).encode()):
        raise CrossSiteError("The page is out of date. Open it again, and repeat what you did.")
