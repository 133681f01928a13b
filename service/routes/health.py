"""``/healthz`` and ``/readyz``: what a supervisor asks before it sends work."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from service.identity.access import open_to_all
from service.openapi import json_answer, problems
from service.serving import serving

router = APIRouter(tags=["health"])


class Health(msgspec.Struct, frozen=True):
    """That the service is there."""

    status: str


@router.get(
    "/healthz",
    summary="Is the service alive?",
    description="Answers as long as the process runs, with or without a model.",
    responses={200: json_answer(Health, "It runs.", Health("alive")), **problems()},
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
    "reason.",
    responses={200: json_answer(Health, "It can score.", Health("ready")), **problems(503)},
)
async def readyz(
    request: Request,
    _: Annotated[None, open_to_all("A load balancer asks it without a token.")],
) -> Response:
    """Answer once there is a model."""
    serving(request).model  # noqa: B018  it raises where there is none
    return Response(msgspec.json.encode(Health("ready")), media_type="application/json")
