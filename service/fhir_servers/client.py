"""Asking one FHIR server, with bounds on everything: time, size, pages, and how many at once.

Written by hand on httpx: the clients that exist follow links and redirects wherever they lead, and
resolve a name anew for each connection.
"""

import re
import ssl
import time
from collections.abc import Collection
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio
import httpx
import msgspec

from service.fhir_servers.addresses import FHIRServerError, address_of, base_url, pinned_to

AT_ONCE: Final = 4
"""Requests to one server at a time for one call of ours: an EHR is not there for us alone."""
PAGES_AT_MOST: Final = 20
BYTES_AT_MOST: Final = 20_000_000
"""Of all answers to one call together."""
FAILURES_TO_OPEN: Final = 5
OPEN_SECONDS: Final = 30.0
FHIR_JSON: Final = "application/fhir+json"
_AS_ASKED: Final = {"GET": (200,), "PUT": (200, 201, 204)}
"""The statuses of what was asked for."""


class Breaker:
    """Keeps from asking a server that does not answer: its failures would take all our time.

    After five failures in a row nothing is asked for thirty seconds; then one request tries again.
    """

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}

    def closed(self, server: str, now: float) -> bool:
        """Whether the server may be asked."""
        failures, last = self._failures.get(server, (0, 0.0))
        return failures < FAILURES_TO_OPEN or now - last >= OPEN_SECONDS

    def answered(self, server: str) -> None:
        """The server works."""
        self._failures.pop(server, None)

    def failed(self, server: str, now: float) -> None:
        """The server did not answer, or with an error of its own."""
        self._failures[server] = self._failures.get(server, (0, 0.0))[0] + 1, now


class _Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class _Page(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    link: list[_Link] = []


class FHIRServer:
    """One server for one call: its base URL, its address, and the token that it gave us."""

    def __init__(
        self,
        base: str,
        token: str | None,
        *,
        vouched: Collection[str] = (),
        breaker: Breaker | None = None,
        trust: ssl.SSLContext | bool = True,
    ) -> None:
        """Name a server; nothing is asked yet.

        Args:
            base: its base URL, paired with the caller by the operator.
            token: the access token to send; never logged, never sent elsewhere.
            vouched: addresses that the operator has named for it.
            breaker: what is known of servers that fail.
            trust: how its certificate is judged.

        Raises:
            FHIRServerError: if ``base`` is no base URL.
        """
        self._base = base_url(base.rstrip("/") + "/")
        self._token = token
        self._vouched = vouched
        self._breaker = breaker or Breaker()
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._bytes_left = BYTES_AT_MOST
        self._address: str | None = None
        self._http = httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=httpx.Timeout(10.0), verify=trust
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def read(self, relative: str) -> bytes:
        """A resource, or the first page of a search: what the server answers to a GET.

        Args:
            relative: ``Patient/1``, ``Observation?patient=1``: within the base URL.

        Raises:
            FHIRServerError: if the server may not be asked, does not answer with FHIR JSON, or
                answers with too much.
        """
        return await self._ask("GET", self._within(relative))

    async def update(self, query: str, resource: bytes) -> None:
        """Have the one resource that a search finds be this one, made where there is none.

        Args:
            query: ``Flag?identifier=system|value``: a conditional update (R4, RESTful API).
            resource: its content, JSON.

        Raises:
            FHIRServerError: if the server may not be asked, does not answer, or refuses, with the
                status that it answered.
        """
        await self._ask("PUT", self._within(query), resource)

    async def search(self, query: str) -> list[bytes]:
        """All pages of a search, in order.

        Raises:
            FHIRServerError: as ``read``; also if a page leads to another server, or there are more
                pages than anybody's record needs.
        """
        return await self._pages(self._within(query))

    async def follow(self, link: str) -> list[bytes]:
        """The pages of a search from a link on, that the server itself gave for its next page.

        Raises:
            FHIRServerError: as ``search``.
        """
        return await self._pages(self.on_this_server(link))

    async def _pages(self, url: str) -> list[bytes]:
        pages: list[bytes] = []
        seen = set()
        while True:
            if len(pages) == PAGES_AT_MOST or url in seen:
                raise FHIRServerError("fhirServer: a search that does not end")
            seen.add(url)
            pages.append(await self._ask("GET", url))
            following = next_page(pages[-1])
            if following is None:
                return pages
            url = self.on_this_server(following)

    def on_this_server(self, link: str) -> str:
        """A link that the server gave, if it leads to the server itself.

        Raises:
            FHIRServerError: if it leads elsewhere: the token must not follow it.
        """
        try:
            url = urlsplit(urljoin(self._base.geturl(), link))
            own = (url.scheme, url.hostname, url.port)
        except ValueError:
            raise FHIRServerError("fhirServer: a page that leads elsewhere") from None
        if own != (self._base.scheme, self._base.hostname, self._base.port) or url.username:
            raise FHIRServerError("fhirServer: a page that leads elsewhere")
        return url.geturl()

    def _within(self, relative: str) -> str:
        if relative.startswith(("/", "\\")) or "://" in relative.partition("?")[0]:
            raise FHIRServerError("fhirServer: not a path within it")
        return self.on_this_server(self._base.geturl() + relative)

    async def _ask(self, method: str, url: str, resource: bytes | None = None) -> bytes:
        server = self._base.netloc
        if not self._breaker.closed(server, time.monotonic()):
            raise FHIRServerError("fhirServer: it did not answer lately")
        async with self._places:
            try:
                content = await self._answer(method, urlsplit(url), resource)
            except (httpx.HTTPError, OSError):
                # What the library says may quote the URL, which names a patient.
                self._breaker.failed(server, time.monotonic())
                raise FHIRServerError("fhirServer: it does not answer") from None
        self._breaker.answered(server)
        return content

    async def _answer(self, method: str, url: SplitResult, resource: bytes | None) -> bytes:
        if self._address is None:
            self._address = await address_of(self._base, self._vouched)
        headers = {"Accept": FHIR_JSON, "Host": url.netloc}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if resource is not None:
            headers |= {"Content-Type": FHIR_JSON, "Prefer": "return=minimal"}
        # To the address that was judged; name and certificate are still those of the server.
        pinned = pinned_to(url, self._address)
        extensions = {"sni_hostname": url.hostname or ""}
        async with self._http.stream(
            method, pinned, headers=headers, content=resource, extensions=extensions
        ) as answer:
            if answer.status_code >= 500:
                self._breaker.failed(self._base.netloc, time.monotonic())
            if answer.status_code not in _AS_ASKED[method]:
                raise FHIRServerError(
                    f"fhirServer: it answered {answer.status_code}",
                    answered=answer.status_code,
                    retry_after=seconds_to_wait(answer.headers.get("retry-after", "")),
                )
            if method == "PUT":
                return b""  # what it has to say about what it was given is not read
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in (FHIR_JSON, "application/json"):
                raise FHIRServerError("fhirServer: its answer is not FHIR JSON")
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise FHIRServerError("fhirServer: its answers are too large")
                content += chunk
        return bytes(content)


def seconds_to_wait(retry_after: str) -> float | None:
    """What a Retry-After header asks for: seconds, or a date (RFC 9110, section 10.2.3)."""
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if until.tzinfo is None:
        return None
    return max(0.0, until.timestamp() - time.time())


def next_page(bundle: bytes) -> str | None:
    """Where a searchset goes on; None where it ends, or is not a Bundle."""
    try:
        page = msgspec.json.decode(bundle, type=_Page)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return next((link.url for link in page.link if link.relation == "next" and link.url), None)
