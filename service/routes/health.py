"""``/healthz`` and ``/readyz``: what a supervisor asks before it sends work."""

from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import UNSET, Meta, UnsetType

from service.identity.access import open_to_all
from service.openapi import json_answer, problems
from service.serving import serving

router = APIRouter(tags=["health"])


class Health(msgspec.Struct, frozen=True):
    """That the service is there."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """That the service can score, and for whom."""

    status: str
    mode: Annotated[
        Literal["development", "normal"],
        Meta(description="`normal`: callers are identified. `development`: they are not."),
    ]
    warning: Annotated[
        str | UnsetType, Meta(description="In development mode, what that means.")
    ] = UNSET


WARNING: Final = (
    "DEVELOPMENT MODE: callers are not identified, and everybody on this machine is answered. "
    "Never for real patients."
)


@router.get(
    "/healthz",
    summary="Is the service alive?",
    description="Answers as long as the process runs, with or without a model.",
    responses={200: json_answer(Health, "It runs.", Health("alive")), **problems(limited=False)},
)
async def healthz(
    _: Annotated[None, open_to_all("Says nothing but that the process runs.")],
) -> Response:
    """Answer at all."""
    return Response(msgspec.json.encode(Health("alive")), media_type="application/json")


@router.get(
    "/readyz",
    summary="Can the service score?",
    description="Answers 200 once a risk model is loaded and checked; until then 503 with the "
    "reason. Says also whether callers are identified: a service in development mode is ready for "
    "developers alone.",
    responses={
        200: json_answer(Readiness, "It can score.", Readiness("ready", "normal")),
        **problems(503, limited=False),
    },
)
async def readyz(
    request: Request,
    _: Annotated[None, open_to_all("A load balancer asks it without a token.")],
) -> Response:
    """Answer once there is a model."""
    here = serving(request)
    here.model  # noqa: B018  it raises where there is none
    ready = (
        Readiness("ready for development alone", "development", WARNING)
        if here.settings.development
        else Readiness("ready", "normal")
    )
    return Response(msgspec.json.encode(ready), media_type="application/json")
