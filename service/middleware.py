"""What surrounds every request: who may ask, what is logged, and what no route foresaw.

Plain ASGI: Starlette's BaseHTTPMiddleware copies every body through a queue and a task of its own.
"""

import re
from time import perf_counter
from typing import Final

from fastapi import Response
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_mappings.errors import ReadmitError
from service.identity.caller import Caller
from service.observing import traces
from service.observing.logs import Happening, logger, method_of, pseudonym, template_of
from service.observing.metrics import Refusal
from service.problems import RateError, refusal, unexpected
from service.serving import Serving
from service.settings import Settings
from service.surroundings.headers import AnswerHeaders
from service.surroundings.hosts import Hosts
from service.surroundings.limits import check_head, is_not_identified

UNLIMITED: Final = frozenset({"/healthz", "/readyz"})
"""Paths that are answered however often they are asked: a supervisor that is refused would take the
service for dead."""

_REFUSALS: Final[dict[int | None, Refusal]] = {
    401: "not_identified",
    403: "not_allowed",
    421: "misdirected",
    429: "caller_too_often",
}

_REQUEST_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_access = logger("readmit.access")


class Surroundings:
    """What every request passes: size, Host, address; headers, access line, counters, span.

    It is also the last resort: what no route foresaw is answered here.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._hosts = Hosts(settings)
        self._headers = AnswerHeaders(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passing = _Passing(scope)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                passing.status = message["status"]
                added = self._headers.of(scope, message["headers"], passing.origin)
                message["headers"] = [*added, *passing.request_id_header]
            await send(message)

        span = traces.begin(passing.method, passing.headers)
        try:
            with traces.within(span):
                await self._answer(passing, scope, receive, watched)
        finally:
            traces.end(span, passing.method, template_of(scope), passing.status)
            self._account(passing, scope)

    async def _answer(
        self, passing: "_Passing", scope: Scope, receive: Receive, watched: Send
    ) -> None:
        try:
            try:
                answer = self._before(passing, scope)
            except ReadmitError as error:
                answer = refusal(error, scope["path"])
                if isinstance(error, RateError):
                    passing.refusal = "address_too_often"
            await (answer or self.app)(scope, receive, watched)
        except ClientDisconnect:
            pass  # nobody is left to answer; the access line says so by having no status
        # The outermost boundary: re-raising would have the server print the error's message, which
        # may quote a patient. It is logged by type and line instead, and answered.
        except Exception as error:  # noqa: BLE001  see above
            failure = unexpected(error, scope["path"])
            if passing.status is None:
                await failure(scope, receive, watched)

    def _before(self, passing: "_Passing", scope: Scope) -> Response | None:
        """Refuse what no route should see; answer a browser's preflight.

        Raises:
            ReadmitError: the refusal.
        """
        check_head(scope)
        self._hosts.check(scope, passing.headers)
        if scope["path"] not in UNLIMITED:
            passing.address = self._hosts.client(scope, passing.headers)
            passing.serving.rates.check_address(passing.address)
        allowed = self._headers.preflight(scope, passing.headers)
        if allowed is None:
            return None
        answer = Response(status_code=204)
        answer.raw_headers += allowed
        return answer

    def _account(self, passing: "_Passing", scope: Scope) -> None:
        """Write the access line, and count."""
        here, route, seconds = passing.serving, template_of(scope), perf_counter() - passing.began
        caller = scope["state"].get("caller")
        _access.info(
            Happening.REQUEST,
            method=passing.method,
            route=route,
            status=passing.status,
            milliseconds=seconds * 1000,
            caller=pseudonym(here.keeping.keys, caller.issuer, caller.subject)
            if isinstance(caller, Caller)
            else None,
            request=passing.request_id,
        )
        here.metrics.answered(passing.method, route, passing.status, seconds)
        refused = passing.refusal or _REFUSALS.get(passing.status)
        if refused is not None:
            here.metrics.refused(refused)
        failed = refused == "not_identified" or is_not_identified(scope)
        if failed and passing.address is not None:
            here.rates.failed(passing.address)


class _Passing:
    """What is known of one request while it passes."""

    def __init__(self, scope: Scope) -> None:
        self.began = perf_counter()
        # Set here, so that it is the same one for whatever sees a copy of the scope.
        scope["state"] = scope.get("state") or {}
        self.headers = Headers(scope=scope)
        self.method = method_of(scope)
        serving = scope["app"].state.serving
        assert isinstance(serving, Serving)  # noqa: S101  what create_app put there
        self.serving = serving
        self.origin = self.headers.get("origin", "")
        self.status: int | None = None
        self.address: str | None = None
        """Whom failed identifications are counted against; None where nothing is counted."""
        self.refusal: Refusal | None = None
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else None

    @property
    def request_id_header(self) -> list[tuple[bytes, bytes]]:
        """The request's id on its way back; of any other form it may hold a patient's."""
        if self.request_id is None:
            return []
        return [(b"x-request-id", self.request_id.encode())]
