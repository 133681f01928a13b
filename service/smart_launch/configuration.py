"""What an EHR says of its authorization: ``{iss}/.well-known/smart-configuration``.

Source: SMART App Launch 2.2, "Using well-known". It is fetched from paired servers alone, and kept
for a while: ``/launch`` is open to everybody, and must not be a way to have an EHR asked.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import anyio
import msgspec

from fhir_mappings.errors import ReadmitError
from service.fhir_servers.addresses import FHIRServerError, base_url
from service.fhir_servers.client import Breaker, FHIRServer
from service.identity.fetching import LARGEST_ANSWER, safe_url
from service.identity.issuers import PairedServer

PATH: Final = ".well-known/smart-configuration"
WITHIN_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 300.0
"""So long an EHR may go on with what it has replaced: its endpoints change with an upgrade."""
AFTER_FAILURE_SECONDS: Final = 5.0
"""So long a failure is the answer to everybody who comes."""


class SMARTConfigurationError(ReadmitError):
    """An EHR that is paired with this service does not say how to launch it, or not safely."""

    status = 502
    title = "The EHR does not say how to sign in there"


class SMARTConfiguration(msgspec.Struct, frozen=True):
    """As much of it as a launch needs."""

    authorization_endpoint: str
    token_endpoint: str
    code_challenge_methods_supported: tuple[str, ...] = ()
    issuer: str | None = None


class _Held(NamedTuple):
    found: SMARTConfiguration | SMARTConfigurationError
    until: float


class SMARTConfigurations:
    """The descriptions that this process holds, of EHRs that may launch it."""

    def __init__(self, breaker: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self._breaker = breaker
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, anyio.Lock] = {}

    async def of(self, server: PairedServer) -> SMARTConfiguration:
        """How to launch from a server, fetched if need be.

        Raises:
            SMARTConfigurationError: if the EHR does not say, or not as a launch needs it.
        """
        # Of many who come at once, one asks for all.
        async with self._asking.setdefault(server.url, anyio.Lock()):
            held = self._held.get(server.url)
            if held is None or held.until <= self._clock():
                held = self._held[server.url] = await self._fetched(server)
        if isinstance(held.found, SMARTConfigurationError):
            raise SMARTConfigurationError(str(held.found))
        return held.found

    async def _fetched(self, server: PairedServer) -> _Held:
        try:
            found = checked(await _content(server, self._breaker), server)
        except SMARTConfigurationError as error:
            return _Held(error, self._clock() + AFTER_FAILURE_SECONDS)
        return _Held(found, self._clock() + FRESH_SECONDS)


def checked(content: bytes, server: PairedServer) -> SMARTConfiguration:
    """Read a description, if a launch can rely on it.

    Raises:
        SMARTConfigurationError: if it is damaged, does not offer PKCE by S256 (which SMART asks
            of both sides), describes another issuer than the operator named, or sends people or
            codes to an address that is less safe than the server's.
    """
    try:
        found = msgspec.json.decode(content, type=SMARTConfiguration)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SMARTConfigurationError("its description is damaged") from None
    if "S256" not in found.code_challenge_methods_supported:
        raise SMARTConfigurationError("it does not offer PKCE with S256")
    if found.issuer is not None and found.issuer != server.vouching:
        raise SMARTConfigurationError("it names another issuer than the operator does")
    for endpoint in (found.authorization_endpoint, found.token_endpoint):
        plain = server.url.startswith("https:") and not endpoint.startswith("https:")
        if plain or not safe_url(endpoint):
            raise SMARTConfigurationError("it sends to an address that is not https")
    try:
        base_url(found.token_endpoint)
    except FHIRServerError:
        raise SMARTConfigurationError("its token endpoint is none that may be asked") from None
    return found


async def _content(server: PairedServer, breaker: Breaker) -> bytes:
    asked = FHIRServer(server.url, None, vouched=server.addresses, breaker=breaker)
    try:
        with anyio.fail_after(WITHIN_SECONDS):
            content = await asked.read(PATH)
    except FHIRServerError as error:
        raise SMARTConfigurationError(str(error)) from None
    except TimeoutError:
        raise SMARTConfigurationError("it does not answer in time") from None
    finally:
        await asked.close()
    if len(content) > LARGEST_ANSWER:
        raise SMARTConfigurationError("its description is too large")
    return content
