"""An error as a page, for whoever opened a page; programs get the problem itself."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import Request, Response

from service.fhir_out.outcome import is_fhir
from service.identity.sessions import cookies_of, drop_cookies
from service.pages.framing import let_the_ehr_frame_it
from service.pages.page import TAG, page
from service.problems import CHALLENGE, RETRY_AFTER_SECONDS, Problem

_ADVICE: Final[Mapping[int, str]] = {
    401: "You are not signed in, or were away for so long that you were signed out.",
    403: "If you need this for your work, ask whoever gives out the roles.",
    404: "The address may be mistyped, or what was there is gone.",
    429: "Wait a little, then try again.",
    500: "It is not your doing. Tell whoever runs the service, with the incident id.",
    502: "The other server may be back in a moment. If not, tell whoever runs the service.",
    503: "It may pass. Try again in a moment; if it does not, tell whoever runs the service.",
}
"""What a person can do about an error."""

UNAUTHORIZED: Final = 401
UNAVAILABLE: Final = 503


def error_page(request: Request, problem: Problem) -> Response | None:
    """The error as a page; None where it was not a person with a browser who asked."""
    if not _is_for_a_person(request):
        return None
    let_the_ehr_frame_it(request)
    response = page(
        request,
        "error.html",
        status=problem.status,
        problem=problem,
        advice=_ADVICE.get(problem.status, ""),
        sign_in=_sign_in(request) if problem.status == UNAUTHORIZED else None,
    )
    if problem.status == UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if problem.status == UNAUTHORIZED:
        # A 401 says what would be taken, to browsers too (RFC 9110, section 15.5.2). They know no
        # dialog for this one, and go by the link.
        response.headers["WWW-Authenticate"] = CHALLENGE
    if problem.status == UNAUTHORIZED and cookies_of(request):
        # What did not identify anybody will not do so next time; it would only stand in the way.
        # But a cookie that was not sent may be a good one: browsers hold it back (SameSite) from a
        # request of another site, which must not sign the person out.
        drop_cookies(request, response)
    return response


def _is_for_a_person(request: Request) -> bool:
    """Whether a page was asked for, or a path that is not there, by what prefers to read HTML."""
    if is_fhir(request.scope["path"]):
        return False
    route = request.scope.get("route")
    if route is not None and TAG not in getattr(route, "tags", ()):
        return False
    return prefers_html(request.headers.get("accept", ""))


def prefers_html(accept: str) -> bool:
    """Whether an Accept header (RFC 9110, section 12.5.1) puts HTML before JSON.

    A bare ``*/*``, as programs send it, does not: they are to get the problem.
    """
    weights = {"text/html": 0.0, "json": 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        weight = next((_weight(one) for one in parameters if one.startswith("q=")), 1.0)
        if kind == "text/html":
            weights["text/html"] = max(weights["text/html"], weight)
        elif kind in ("application/json", "application/problem+json"):
            weights["json"] = max(weights["json"], weight)
    return weights["text/html"] > weights["json"]


def _weight(parameter: str) -> float:
    try:
        return min(max(float(parameter.removeprefix("q=")), 0.0), 1.0)
    except ValueError:
        return 0.0


def _sign_in(request: Request) -> str:
    """Where to sign in, and how to come back to what was asked for."""
    if request.method != "GET" or request.scope.get("route") is None:
        return "/sign-in"
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?return_to={quote(asked, safe='/')}"
