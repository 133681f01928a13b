"""Reading a request's head off the wire, with an end to it.

The server's parser takes a head of any size and waits for it as long as it lasts: before any of our
code sees the request, one connection could fill the memory, or a thousand could hold a place each.
"""

from asyncio import Transport
from asyncio.events import TimerHandle
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.problems import MEDIA_TYPE, problem_of
from service.surroundings.limits import HEADER_BYTES, URL_BYTES, LargeHeadError

HEAD_BYTES: Final = 2 * (HEADER_BYTES + URL_BYTES)
"""Beyond this the connection is closed. It is more than ``check_head`` lets pass, so that what is
only a little too large is answered in the usual way."""

HEAD_WITHIN_SECONDS = 20.0
"""How long the head of a connection's first request may take; later ones have the server's own
limit between requests."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as the server reads it, with a bounded head."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head = 0
        self._reading_head = True
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as the server's
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_WITHIN_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read, and refuse a head that does not end."""
        super().data_received(data)
        if self._reading_head:
            self._head += len(data)
            if self._head > HEAD_BYTES and not self.transport.is_closing():
                self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head, self._reading_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is there, and of a size that can be judged further on."""
        self._reading_head = False
        self._head_arrived()
        super().on_headers_complete()

    def _head_arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self) -> None:
        error = LargeHeadError(f"The head of the request exceeds {HEAD_BYTES:,} bytes.")
        body = msgspec.json.encode(problem_of(error))
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-type: " + MEDIA_TYPE.encode() + b"\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n"
            b"connection: close\r\n\r\n" + body
        )
        self.transport.close()
