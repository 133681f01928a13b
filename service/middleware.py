"""What surrounds every request: who may ask, what is logged, and what no route foresaw.

Plain ASGI: Starlette's BaseHTTPMiddleware copies every body through a queue and a task of its own.
"""

import logging
from time import perf_counter
from typing import Final

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import Problem, answer, unexpected

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The names that this machine calls itself by in a Host header."""

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: results are about patients, and must not stay in caches or leak in referrers."""

_access = logging.getLogger("readmit.access")


class Surroundings:
    """What every request passes: Host check, security headers, access line, last resort.

    While callers have no identity, loopback is the only wall. A page in this machine's browser can
    get past it with a name that it points at 127.0.0.1; its Host header gives it away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        try:
            if _hostname(scope) in LOOPBACK_NAMES:
                await self.app(scope, receive, watched)
            else:
                await _misdirected()(scope, receive, watched)
        except ClientDisconnect:
            pass  # nobody is left to answer; the access line below says so with status None
        # The outermost boundary: re-raising would have the server print the error's message, which
        # may quote a patient. It is logged by type and line instead, and answered.
        except Exception as error:  # noqa: BLE001  see above
            failure = unexpected(error)
            if status is None:
                await failure(scope, receive, watched)
        finally:
            _access.info(
                "%s %s %s %.1f ms",
                scope["method"],
                # The template, not the path: a path that fits no route may hold anything.
                getattr(scope.get("route"), "path", "(no route)"),
                status,
                (perf_counter() - began) * 1000,
            )


def _hostname(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "").lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _misdirected() -> Response:
    return answer(
        Problem(
            type="about:blank",
            title="Misdirected Request",
            status=421,
            detail="This service answers only to the names of this machine itself.",
        )
    )
