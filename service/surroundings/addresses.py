"""What an operator lists: names of hosts, origins of pages, networks of proxies."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

Network = IPv4Network | IPv6Network

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_ORIGIN: Final = re.compile(rf"(https://({_NAME.pattern})|http://localhost)(:[0-9]{{1,5}})?")


def _words(value: object) -> object:
    """A list as an environment variable has it: between commas or spaces."""
    return tuple(re.split(r"[\s,]+", value.strip(" ,"))) if isinstance(value, str) else value


def _without_empty(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word)


def _host_names(words: Iterable[str]) -> tuple[str, ...]:
    names = tuple(word.lower() for word in _without_empty(words))
    if not all(_NAME.fullmatch(name) for name in names):
        raise ValueError("a name is not that of a host (without scheme, port and path)")
    return names


def _origins(words: Iterable[str]) -> tuple[str, ...]:
    origins = tuple(word.lower() for word in _without_empty(words))
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError(
            "an origin is not https://HOST or https://HOST:PORT; `*` would let every page in"
        )
    return origins


def _networks(words: Iterable[str]) -> tuple[str, ...]:
    listed = _without_empty(words)
    networks_of(listed)
    return listed


def networks_of(addresses: Iterable[str]) -> tuple[Network, ...]:
    """The networks that addresses name; a single address is a network of one.

    Raises:
        ValueError: if one is neither an address nor a network. It is not quoted.
    """
    try:
        return tuple(ip_network(address) for address in addresses)
    except ValueError:
        raise ValueError("not an IP address or network (10.0.0.7, 10.0.0.0/24)") from None


HostNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_host_names)
]
"""Names as they come in a Host header, without port."""
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_origins)]
"""Origins as browsers send them (RFC 6454): scheme, host and port."""
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_networks)]
"""IP addresses and networks."""


def host_of_url(url: str) -> str | None:
    """The host that a URL names, as a Host header has it; None where it names none."""
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return None
    if not name:
        return None
    return f"[{name}]" if ":" in name else name
