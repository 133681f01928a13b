"""Under which address browsers know the service, and what follows from it for its cookies."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from fhir_mappings.errors import ReadmitError
from service.identity.fetching import is_loopback
from service.serving import serving


class PublicAddressError(ReadmitError):
    """The service does not know the address that browsers reach it by."""

    status = 503
    title = "Public address"


def own_origin(request: Request) -> str:
    """The scheme, host and port that browsers reach the service by: ``https://readmit.example``.

    It is what the operator set. Without that, it is what the request names, on loopback alone:
    anywhere else the Host header is whatever a caller writes, and issuers would send codes to it.

    Raises:
        PublicAddressError: if the operator set none, and the request is not to this machine.
    """
    public_url = serving(request).settings.public_url
    if public_url is not None:
        return public_url
    named = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if not is_loopback(urlsplit(named).hostname or ""):
        raise PublicAddressError("READMIT_PUBLIC_URL: not set, and browsers need it")
    return named


def is_secure(request: Request) -> bool:
    """Whether browsers reach the service by https."""
    public_url = serving(request).settings.public_url
    return (public_url or request.url.scheme).startswith("https")


def cookie_name(request: Request, name: str) -> str:
    """What a cookie is called. ``__Host-`` keeps other hosts of the domain from setting it.

    Browsers take that prefix (RFC 6265bis, section 4.1.3.2) over https alone.
    """
    return f"__Host-{name}" if is_secure(request) else name


def set_framed_cookie(
    request: Request, response: Response, name: str, value: str, *, max_age: int | None = None
) -> None:
    """Hand the browser a cookie that also counts in a frame of another site's page, an EHR's.

    ``SameSite=None`` is what browsers ask for there, and ``Partitioned`` (CHIPS) keeps it within
    the pages of that one site: a page of any other site that frames ours, or asks something of us,
    has a browser without this cookie. Without https, on this machine alone, a browser takes neither
    and the cookie is Lax: other ports of one host are the same site.

    Args:
        request: what is answered.
        response: the answer.
        name: the cookie's, before its prefix.
        value: of the alphabet of base64url; empty to have the browser forget the cookie.
        max_age: seconds that it is kept; until the browser is closed where it is None.
    """
    if not is_secure(request):
        response.set_cookie(name, value, max_age=max_age, httponly=True, samesite="lax")
        return
    kept = "" if max_age is None else f"; Max-Age={max_age}"
    # By hand: http.cookies writes Partitioned from Python 3.14 on.
    response.headers.append(
        "set-cookie",
        f"{cookie_name(request, name)}={value}; HttpOnly{kept}; Path=/; SameSite=None; Secure; "
        "Partitioned",
    )
