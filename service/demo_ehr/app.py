"""The EHR as an application: its routes, what surrounds them, and how it refuses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import anyio
import httpx
import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from service.demo_ehr import fhir_routes, page_routes, people_routes
from service.demo_ehr.ehr import EHR, SERVICE_SECONDS
from service.demo_ehr.errors import FHIRError, OAuthError, PageError
from service.demo_ehr.plan import Plan
from service.demo_ehr.records import HospitalRecords
from service.demo_ehr.rendering import page

_OWN_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_SAME_PLACE: Final = (None, "same-origin", "none")


def create_app(
    plan: Plan, *, transport: httpx.AsyncBaseTransport | None = None, shaking_hands: bool = True
) -> FastAPI:
    """The EHR over one folder of records, which is read when it starts.

    Args:
        plan: where everything is.
        transport: how the service is asked; over the network by default.
        shaking_hands: whether the subscription is offered at the start.

    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            httpx.AsyncClient(
                transport=transport, timeout=SERVICE_SECONDS, trust_env=False
            ) as http,
            anyio.create_task_group() as group,
        ):
            with HospitalRecords(plan.records, datetime.now(UTC).date()) as records:
                app.state.ehr = EHR(plan, records, http)
                if shaking_hands:
                    group.start_soon(app.state.ehr.shake_hands)
                yield
                group.cancel_scope.cancel()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    for router in (page_routes.router, people_routes.router, fhir_routes.router):
        app.include_router(router)
    app.add_exception_handler(FHIRError, _fhir_refusal)
    app.add_exception_handler(OAuthError, _oauth_refusal)
    app.add_exception_handler(PageError, _page_refusal)
    app.add_exception_handler(HTTPException, _unknown)
    policy = _policy(plan)

    @app.middleware("http")
    async def surround(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        # A name that somebody else points at this machine (DNS rebinding) is not ours; a form that
        # another site has the browser send is not meant by whoever sits there.
        strange = request.url.hostname not in _OWN_NAMES
        site = request.headers.get("sec-fetch-site")
        forged = request.method not in ("GET", "HEAD") and site not in _SAME_PLACE
        if strange or forged:
            return Response(
                "This demo answers its own pages alone.\n", 403, media_type="text/plain"
            )
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = policy
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    return app


def _policy(plan: Plan) -> str:
    """What pages may load: their style, and our app in a frame; no script at all."""
    return (
        f"default-src 'none'; style-src 'self'; img-src data:; frame-src 'self' {plan.service}; "
        # The choice of a person is a form whose answer leads to the service.
        f"form-action 'self' {plan.service}; frame-ancestors 'self'; base-uri 'none'"
    )


async def _fhir_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, FHIRError)  # noqa: S101  registered for it
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    return fhir_routes.fhir_answer(error.outcome(), error.status, **headers)


async def _oauth_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)  # noqa: S101  registered for it
    if request.url.path.endswith("/authorize"):
        sentence = f"The app's request is refused: {error.code}: {error}."
        return page(request, "error.html", status=error.status, sentence=sentence)
    content = {"error": error.code, "error_description": str(error)}
    return Response(
        msgspec.json.encode(content),
        error.status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _page_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, PageError)  # noqa: S101  registered for it
    return page(request, "error.html", status=error.status, sentence=str(error))


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for it
    if request.url.path.startswith("/fhir/"):
        refusal = FHIRError(error.status_code, "not-supported", "Nothing answers here.")
        return await _fhir_refusal(request, refusal)
    sentence = "There is no such page." if error.status_code == HTTPStatus.NOT_FOUND else "No."
    return page(request, "error.html", status=error.status_code, sentence=sentence)
