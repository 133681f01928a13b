"""From a server's name to the one address that is connected to, or to none.

A name is resolved once, every address that it has is judged, and the connection goes to an address
that was judged: a name that answers differently the second time (DNS rebinding) changes nothing.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

import anyio

from fhir_mappings.errors import ReadmitError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

RESOLVED_WITHIN_SECONDS: Final = 2.0
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class FHIRServerError(ReadmitError):
    """An EHR's FHIR server may not be asked, does not answer, or answers with what is not FHIR."""

    status = 412
    title = "The EHR's FHIR server"

    def __init__(
        self, message: str, *, answered: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.answered: Final = answered
        """The status that came, if one came that was not the one asked for."""
        self.retry_after: Final = retry_after
        """Seconds that the server asks to be left alone for."""


def base_url(text: str) -> SplitResult:
    """Read a server's base URL.

    Raises:
        FHIRServerError: if it is not a plain https URL (http for this machine's own addresses), or
            carries a user, a query or a fragment. It is not quoted.
    """
    refused = FHIRServerError("fhirServer: not the base URL of a server that may be asked")
    if not text.isascii() or any(character <= " " or character == "\\" for character in text):
        raise refused
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise refused from None
    if not host or url.username is not None or url.password is not None or url.query:
        raise refused
    if "#" in text or "?" in text or ".." in url.path or "%" in host or port == 0:
        raise refused
    if url.scheme != "https" and not (url.scheme == "http" and host in ("127.0.0.1", "::1")):
        raise refused
    return url


def same_server(one: str, other: str) -> bool:
    """Whether two base URLs name one server: scheme, host, port and path, a last slash aside.

    Raises:
        FHIRServerError: if one of them is not a base URL.
    """
    return _parts(base_url(one)) == _parts(base_url(other))


def _parts(url: SplitResult) -> tuple[str, str | None, int, str]:
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.hostname, port, url.path.rstrip("/")


def public(address: Address) -> bool:
    """Whether an address is one of the public internet.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, Teredo, NAT64) is judged as that.
    """
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and address.teredo is not None:
            within = address.teredo[1]
        if within is None and address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return public(within)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast


async def resolved(host: str, port: int) -> list[str]:
    """All addresses that a name has."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def address_of(
    url: SplitResult, vouched: Collection[str] = (), resolve: Resolve = resolved
) -> str:
    """The address to connect to.

    Args:
        url: the server's base URL.
        vouched: addresses that the operator has named for this server; they may be private.
        resolve: looks a name up.

    Raises:
        FHIRServerError: if the name has no address, or any of its addresses is neither public nor
            vouched for. One bad address among good ones is a trap, so all must be good.
    """
    host = url.hostname or ""
    refused = FHIRServerError("fhirServer: its address may not be asked")
    try:
        with anyio.fail_after(RESOLVED_WITHIN_SECONDS):
            found = await resolve(host, url.port or 443)
    except (OSError, UnicodeError, TimeoutError):
        raise FHIRServerError("fhirServer: its name has no address") from None
    allowed = {ipaddress.ip_address(one) for one in vouched}
    addresses = [_parsed(one) for one in found]
    if not addresses:
        raise FHIRServerError("fhirServer: its name has no address")
    for address in addresses:
        if address is None or not (address in allowed or public(address)):
            raise refused
    return str(addresses[0])


def pinned_to(url: SplitResult, address: str) -> str:
    """A URL with the address that was judged in place of the name: no second look-up."""
    host = f"[{address}]" if ":" in address else address
    port = "" if url.port is None else f":{url.port}"
    return url._replace(netloc=f"{host}{port}").geturl()


def _parsed(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None  # an address with a zone (fe80::1%eth0) is of a link, not of the internet
