"""By which name the service was asked, and from which address.

A name: a page in somebody's browser can reach the service under a name of its own that it points
there (DNS rebinding); its Host header gives it away. An address: what a proxy says of it is
believed only where the operator listed the proxy, since anybody can send the same header.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from fhir_mappings.errors import ReadmitError
from service.settings import Settings
from service.surroundings.addresses import host_of_url, networks_of
from service.surroundings.exposure import LOOPBACK

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The names that this machine calls itself by in a Host header."""

PROXY_HEADERS: Final = frozenset({"forwarded", "via", "x-real-ip"})
"""Headers that a proxy adds; the ones that begin with ``x-forwarded-`` are others."""

_UNKNOWN: Final = "unknown"


class MisdirectedError(ReadmitError):
    """The request came by a way, or under a name, that the service does not answer to."""

    status = 421
    title = "Misdirected request"


class Hosts:
    """Whom the service answers to, by the settings."""

    def __init__(self, settings: Settings) -> None:
        self._development = settings.development
        self._proxies = networks_of(settings.trusted_proxies)
        names = set(settings.allowed_hosts)
        if settings.public_url is not None:
            names |= {name for name in [host_of_url(settings.public_url)] if name}
        if settings.host in LOOPBACK:
            # A supervisor or a proxy on this machine.
            names |= LOOPBACK_NAMES
        self._names = LOOPBACK_NAMES if self._development else frozenset(names)

    def check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a request that was not meant for here.

        Raises:
            MisdirectedError: if its Host is not one of the service's; in development mode also if
                it came from another machine, or through a proxy that may have let others in.
        """
        if _hostname(headers) not in self._names:
            raise MisdirectedError("This service answers only to its own name.")
        if not self._development:
            return
        if any(_of_a_proxy(name) for name in headers):
            raise MisdirectedError("In development mode nothing is answered through a proxy.")
        peer = _address(_peer(scope))
        if peer is None or not peer.is_loopback:
            raise MisdirectedError("In development mode only this machine itself is answered.")

    def client(self, scope: Scope, headers: Headers) -> str:
        """The address that asks, for limits: the peer, or whom a trusted proxy names.

        Of an ``X-Forwarded-For``, the last hop that is no trusted proxy: what is left of it was
        written by whoever sent it. IPv6 addresses count by their /64, which is what one subscriber
        is given.
        """
        address = _address(_peer(scope))
        if address is not None and self._trusted(address):
            for hop in reversed(_hops(headers.getlist("x-forwarded-for"))):
                named = _address(hop)
                if named is None:
                    break  # what no trusted proxy writes
                address = named
                if not self._trusted(named):
                    break
        return _UNKNOWN if address is None else _subscriber(address)

    def _trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._proxies)


def _hostname(headers: Headers) -> str:
    # Two Host headers: whoever is in front may have gone by the other one (RFC 9112, 3.2).
    hosts = headers.getlist("host")
    host = hosts[0].lower() if len(hosts) == 1 else ""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _of_a_proxy(name: str) -> bool:
    return name in PROXY_HEADERS or name.startswith("x-forwarded-")


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _hops(values: Iterable[str]) -> list[str]:
    return [hop.strip() for value in values for hop in value.split(",")]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # ::ffff:10.0.0.1 is how a socket for both versions names 10.0.0.1.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _subscriber(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
