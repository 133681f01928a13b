"""Other sites' pages must not act in the name of whoever is signed in (CSRF).

A browser sends a session's cookie along with what another site's page asks of us. Two things tell
that apart from our own pages: what the browser itself says about where the request comes from
(Fetch Metadata, ``Sec-Fetch-Site``; the Origin header of RFC 6454 from browsers that do not send
it), and a token that only our pages hold. Requests with a bearer token need neither: no browser
adds one by itself.
"""

import hmac
import re
from http import HTTPMethod
from typing import Final

from fastapi import Request

from fhir_mappings.errors import ReadmitError
from service.identity.origin import own_origin
from service.protection.keys import Keys
from service.protection.sealing import index_of

FIELD: Final = "csrf_token"
"""The form field that carries the token."""

HEADER: Final = "X-CSRF-Token"
"""The header that carries it where no form is sent."""

FORM_LIMIT: Final = 65_536
"""Largest form in bytes that is read for its token."""

_FORM: Final = "application/x-www-form-urlencoded"
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
    """
    if request.method in _SAFE:
        return
    refuse_cross_site(request)
    sent = request.headers.get(HEADER) or await _field(request)
    if not hmac.compare_digest(sent.encode(), token_of(keys, session_id).encode()):
        raise CrossSiteError("The page is out of date. Open it again, and repeat what you did.")


async def _field(request: Request) -> str:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return ""
    announced = request.headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,9}", announced, re.ASCII) is None or int(announced) > FORM_LIMIT:
        return ""
    # Starlette keeps the form with the request: the route that follows reads it again from there.
    field = (await request.form(max_fields=100)).get(FIELD)
    return field if isinstance(field, str) else ""
