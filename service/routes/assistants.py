"""``POST /mcp``: the tools for assistants, over HTTP."""

from typing import Annotated, Final

import httpx
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from service.identity.access import signed_in
from service.identity.caller import Caller
from service.identity.purpose import HEADER
from service.serving import serving

router = APIRouter(include_in_schema=False)

_FORWARDED: Final = ("authorization", HEADER.lower())
"""What says who asks, and for what; a cookie is a browser's, and no assistant has one."""

LARGEST_QUESTION: Final = 100_000
"""Bytes."""


@router.post("/mcp")
async def post_mcp(request: Request, _: Annotated[Caller, signed_in()]) -> Response:
    """Answer one message of the protocol; nothing is remembered between two.

    Each tool asks this service itself, with the caller's own token: what it may not see, the
    assistant does not get.
    """
    return _Answered(request)


class _Answered(Response):
    """The protocol's own answer to a request, made when it is sent."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Importing them takes half a second: by the first who asks, not by every start.
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from service.assistants.over_http import asking
        from service.assistants.tools import assistant_server

        headers = self._request.headers
        held = {name: headers[name] for name in _FORWARDED if name in headers}
        transport = httpx.ASGITransport(self._request.app)
        base = serving(self._request).settings.own_url
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            manager = StreamableHTTPSessionManager(
                assistant_server(asking(client, held)),
                json_response=True,
                stateless=True,
                max_request_body_size=LARGEST_QUESTION,
            )
            async with manager.run():
                await manager.handle_request(scope, receive, send)
