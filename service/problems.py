"""Every error as problem+json (RFC 9457), from one place, and silent about patients.

No problem quotes what was sent: a path, a parameter or a body may hold a patient's name, and
answers end up in the logs of whoever called.
"""

import re
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final, Literal

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import UNSET, Meta, UnsetType
from starlette.exceptions import HTTPException

from fhir_mappings.errors import ReadmitError
from service.fhir_out import outcome
from service.observing.logs import Happening, logger

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = 5
"""What a 503 asks its caller to wait: as long as recovery from an outage may take."""

CHALLENGE: Final = "Bearer"
"""What a 401 asks for (RFC 6750, section 3). Bare: section 3.1 has a code for what is wrong, and a
probe would learn from it."""

_log = logger("readmit.problems")

_DETAILS = {
    404: "There is no such path.",
    405: "This path does not answer this method.",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error, in the form of RFC 9457 (application/problem+json)."""

    type: Annotated[
        str, Meta(description="What kind of problem; `about:blank` where the status says it all.")
    ]
    title: Annotated[str, Meta(description="The kind of problem in words; the same every time.")]
    status: Annotated[int, Meta(description="The HTTP status code.")]
    detail: Annotated[
        str, Meta(description="What is wrong this time. Names elements, never quotes values.")
    ]
    incident: Annotated[
        str | UnsetType,
        Meta(description="For an unexpected error, the id under which the log describes it."),
    ] = UNSET


class BusyError(ReadmitError):
    """More requests are in hand than the service takes on at once."""

    status = 503
    title = "Too many requests at once"


class RateError(ReadmitError):
    """More was asked within a minute than the operator allows."""

    status = 429
    title = "Too many requests"

    def __init__(
        self, message: str, seconds: int = 60, kind: Literal["caller", "address"] = "caller"
    ) -> None:
        super().__init__(message)
        self.seconds: Final = seconds
        """How long to wait."""
        self.kind: Final = kind
        """Whose window is full."""


def problem_of(error: ReadmitError) -> Problem:
    """Describe one of our own errors; its class is the problem's type."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__.removesuffix("Error"))
    return Problem(
        type=f"urn:readmit:problem:{words.lower()}",
        title=error.title,
        status=error.status,
        detail=str(error),
    )


def outcome_of(problem: Problem) -> outcome.OperationOutcome:
    """A problem in FHIR's form."""
    return outcome.outcome(
        kind=problem.type,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        incident=None if problem.incident is UNSET else problem.incident,
    )


def answer(problem: Problem, headers: dict[str, str] | None = None, *, path: str = "") -> Response:
    """Send a problem; one that may pass (503) says when to come back, and 401 what to bring.

    Args:
        problem: what is wrong.
        headers: to be sent with it.
        path: what was asked for; below ``/fhir``, errors have FHIR's form.
    """
    fhir = outcome.is_fhir(path)
    sent = dict(headers or {})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = CHALLENGE
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(
        msgspec.json.encode(outcome_of(problem) if fhir else problem),
        status_code=problem.status,
        media_type=outcome.MEDIA_TYPE if fhir else MEDIA_TYPE,
        headers=sent,
    )


def refusal(error: ReadmitError, path: str) -> Response:
    """Answer one of our own errors; one of too much in a minute says how long to wait."""
    return answer(problem_of(error), _waiting(error), path=path)


def _waiting(error: ReadmitError) -> dict[str, str]:
    """How long to wait, where too much was asked in a minute (RFC 6585, section 4)."""
    return {"Retry-After": str(error.seconds)} if isinstance(error, RateError) else {}


def unexpected(error: Exception, path: str) -> Response:
    """Answer an error that nobody foresaw, and log where it arose under the same incident id.

    The log takes the error's type and the lines of code that it came through, not its message:
    messages of other libraries quote what they were given.
    """
    incident = secrets.token_hex(8)
    _log.error(Happening.INCIDENT, incident=incident, error=error, where=error)
    return answer(
        Problem(
            type="urn:readmit:problem:unexpected",
            title="Unexpected error",
            status=500,
            detail="The service failed on this request. The log says where, under the incident id.",
            incident=incident,
        ),
        path=path,
    )


def install(app: FastAPI, as_page: Callable[[Request, Problem], Response | None]) -> None:
    """Have every foreseen error of ``app`` answered as a problem, or to a person as a page.

    Unforeseen ones are caught by ``service.middleware``, outside of all routes.

    Args:
        app: the service.
        as_page: gives the page; None where a problem is to be sent.
    """

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, ReadmitError)  # noqa: S101  the type that it is registered for
        page = as_page(request, problem_of(error))
        if page is None:
            return refusal(error, request.scope["path"])
        page.headers.update(_waiting(error))
        return page

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  the type that it is registered for
        status = HTTPStatus(error.status_code)
        problem = Problem(
            type="about:blank",
            title=status.phrase,
            status=status,
            detail=_DETAILS.get(status, status.description or status.phrase),
        )
        headers = dict(error.headers or {})
        return as_page(request, problem) or answer(problem, headers, path=request.scope["path"])

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  as above
        faults = [
            f"{' '.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        ]
        problem = Problem(
            type="urn:readmit:problem:parameters",
            title="The parameters are not valid",
            status=422,
            detail="; ".join(faults),
        )
        return as_page(request, problem) or answer(problem, path=request.scope["path"])

    app.add_exception_handler(ReadmitError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)
