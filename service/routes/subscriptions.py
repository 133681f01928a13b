"""``/fhir/subscriptions``: an EHR tells that a stay has ended."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request, Response

from service.body import ACCEPTED, read_body
from service.events.examples import NOTIFICATION
from service.events.notification import read_notification
from service.events.receiving import ROUTE, receive
from service.events.servers import caller_of
from service.fhir_out.outcome import MEDIA_TYPE
from service.identity.access import subscription_secret
from service.identity.issuers import PairedServer
from service.openapi import fhir_answer, outcomes
from service.serving import serving


class FHIR(Response):
    """A resource, as FHIR JSON."""

    media_type = MEDIA_TYPE


router = APIRouter(tags=["fhir"], default_response_class=FHIR)

_ENTERED: Final[dict[str, Any]] = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "information",
            "code": "informational",
            "details": {"text": "The notification is entered"},
        }
    ],
}

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A notification of Subscriptions R5 Backport in R4: a Bundle of type "
        "history whose first entry is a Parameters resource.",
        "content": {
            content_type: {
                "schema": {"type": "object", "required": ["resourceType", "type", "entry"]},
                "example": NOTIFICATION,
            }
            for content_type in ACCEPTED
        },
    }
}


@router.post(
    ROUTE,
    summary="Tell of an event",
    description="Takes what a Subscription of the EHR sends: handshake, heartbeat and events. An "
    "event is entered before it is answered, once, however often it is told; its records are "
    "fetched afterwards from the EHR's own server, and a payload is not read. The bearer value is "
    "the one of the Subscription's `channel.header`.",
    responses={
        200: fhir_answer(
            "OperationOutcome", "It is entered, or there was nothing to enter.", _ENTERED
        ),
        **outcomes(400, 401, 408, 413, 415, 422, 503),
    },
    openapi_extra=_BODY,
)
async def post_notification(
    request: Request,
    server: Annotated[PairedServer, subscription_secret()],
    name: Annotated[  # noqa: ARG001  the access reads it
        str,
        Path(
            max_length=64,
            description="What the operator calls the EHR's server.",
            examples=["example-ehr"],
        ),
    ],
) -> Response:
    """Enter what is told, then answer."""
    here = serving(request)
    caller = request.state.caller = caller_of(server)
    here.rates.take(caller)
    with here.room():
        body = await read_body(request, here.settings.body_limit)
        notification = read_notification(body, server.url)
        await here.compute(lambda: receive(here.keeping, caller, server, notification))
    return FHIR(msgspec.json.encode(_ENTERED))
