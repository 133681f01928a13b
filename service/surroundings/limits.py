"""How much one caller, one address and one request may take.

The windows are kept here, in about forty lines: the memory storage of ``limits`` 5.8 keeps every
key that it ever saw, which is what a flood of addresses must not do to us, and starts a thread to
clear up. Ours are of one process: of several, each grants its own share.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal

from fastapi import Request
from starlette.types import Scope

from fhir_mappings.errors import ReadmitError
from service.identity.caller import Caller
from service.problems import RateError
from service.settings import Settings

URL_BYTES: Final = 8_000
"""RFC 9112, section 3, asks that at least so much be supported."""

HEADERS: Final = 100
HEADER_BYTES: Final = 32_000
"""Of names and values together. A token of an issuer with many roles takes some 4,000."""

WINDOW_SECONDS: Final = 60.0

KEYS: Final = 10_000
"""Callers or addresses remembered at once. Of more, the one that was quiet longest is forgotten,
and starts anew: memory is bounded, and whoever has that many addresses has that many windows."""


_NOT_IDENTIFIED: Final = "not_identified"


class LongURLError(ReadmitError):
    """The URL is longer than any of ours."""

    status = 414
    title = "The URL is too long"


class LargeHeadError(ReadmitError):
    """The request's headers are more, or larger, than any caller of ours needs."""

    status = 431
    title = "The request's headers are too large"


def check_head(scope: Scope) -> None:
    """Refuse a request whose URL or headers are beyond all use.

    Raises:
        LongURLError: if the URL is.
        LargeHeadError: if the headers are.
    """
    # Some servers leave raw_path out, and some put the query into it.
    path = scope.get("raw_path") or scope["path"].encode()
    if len(path) + len(scope["query_string"]) > URL_BYTES:
        raise LongURLError(f"The URL exceeds {URL_BYTES:,} bytes.")
    headers = scope["headers"]
    if len(headers) > HEADERS or sum(len(n) + len(v) for n, v in headers) > HEADER_BYTES:
        raise LargeHeadError(f"Headers are limited to {HEADERS} with {HEADER_BYTES:,} bytes.")


def declare_not_identified(request: Request) -> None:
    """Say that credentials did not hold, where something else than 401 is answered.

    It counts as a failed identification all the same: else tokens could be guessed there.
    """
    request.scope["state"][_NOT_IDENTIFIED] = True


def is_not_identified(scope: Scope) -> bool:
    """Whether a route declared that."""
    return bool(scope["state"].get(_NOT_IDENTIFIED))


class MovingWindow:
    """At most so many events of one key within any minute. For one thread: the event loop's."""

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._events)

    def wait(self, key: str) -> float:
        """Seconds until one more event fits; 0 where it fits now."""
        events = self._events.get(key)
        if events is None:
            return 0.0
        now = self._clock()
        while events and events[0] <= now - WINDOW_SECONDS:
            events.popleft()
        if not events:
            del self._events[key]
            return 0.0
        return events[0] + WINDOW_SECONDS - now if len(events) >= self._most else 0.0

    def add(self, key: str) -> None:
        """Count an event."""
        events = self._events.get(key)
        if events is None:
            events = self._events[key] = deque(maxlen=self._most)
            if len(self._events) > KEYS:
                self._events.popitem(last=False)
        else:
            self._events.move_to_end(key)
        events.append(self._clock())


class Rates:
    """The windows of a running service."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self.callers = MovingWindow(settings.requests_per_minute, clock)
        self.addresses = MovingWindow(settings.failed_identifications_per_minute, clock)

    def take(self, caller: Caller) -> None:
        """Count a request of a caller who was identified.

        Raises:
            RateError: if the caller asked too often.
        """
        # NUL is in no issuer: two callers cannot be one key.
        key = f"{caller.issuer}\0{caller.subject}"
        _refuse_for(self.callers.wait(key), "caller")
        self.callers.add(key)

    def check_address(self, address: str) -> None:
        """Refuse an address that failed too often: this bounds how fast tokens can be guessed.

        Raises:
            RateError: if it did. A valid token is refused as well: to tell would help guessing.
        """
        _refuse_for(self.addresses.wait(address), "address")

    def failed(self, address: str) -> None:
        """Count an identification that failed."""
        self.addresses.add(address)


def _refuse_for(seconds: float, kind: Literal["caller", "address"]) -> None:
    if seconds > 0:
        sentence = {
            "caller": "You asked more often than the operator allows; wait.",
            "address": "Too many requests from this address were not identified; wait.",
        }
        raise RateError(sentence[kind], math.ceil(seconds), kind)
