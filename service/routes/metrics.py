"""``GET /metrics``: how the service does, for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from service.identity.access import requires
from service.identity.caller import Caller
from service.observing.metrics import MEDIA_TYPE
from service.openapi import problems
from service.serving import serving

router = APIRouter(tags=["health"])

_EXAMPLE = """\
# HELP readmit_scores_total Scores given, and stays that the model is not meant for.
# TYPE readmit_scores_total counter
readmit_scores_total{band="high",model="readmission",status="scored",version="3"} 12.0
"""


@router.get(
    "/metrics",
    summary="Count what the service does",
    description="Requests by route template with their latency, scores by band and model version, "
    "refusals, failures of the audit, the loaded model and the build, in Prometheus' text format. "
    "No label names a patient, a caller or a URL. The numbers are of the process that answers.",
    responses={
        200: {
            "description": "All numbers.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **problems(401, 403),
    },
    response_class=Response,
)
async def get_metrics(request: Request, _: Annotated[Caller, requires("Device", "r")]) -> Response:
    """Give all numbers."""
    return Response(serving(request).metrics.exposition(), media_type=MEDIA_TYPE)
