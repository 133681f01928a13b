"""Getting access tokens from EHR servers, with this service's own key (SMART Backend Services).

The EHR registers this service by its public keys (``GET /oauth/jwks``). What it gives is kept until
shortly before it expires, so that a night of requests asks for a handful of tokens.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import anyio.to_thread
import msgspec

from fhir_mappings.errors import ReadmitError
from service.identity.backend_services import ASSERTION_TYPE
from service.identity.fetching import FetchError, fetch
from service.identity.signing import LIFETIME_SECONDS, SigningKeys

MARGIN_SECONDS: Final = 30
"""A token that ends within this time is not used any more: a request takes a while to arrive."""

_CODES: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
"""RFC 6749, section 5.2. Another word of the server is not repeated."""


class EHRTokenError(ReadmitError):
    """An EHR server gives no access token."""

    status = 502
    title = "The EHR gives no access"


class EHRRefusedError(EHRTokenError):
    """It refuses: this service is not registered there, or not for these scopes."""


class EHRAwayError(EHRTokenError):
    """It is away, slow, or answers with something that is no token. It may pass."""

    status = 503


class _Answer(msgspec.Struct, frozen=True):
    access_token: str
    token_type: str
    expires_in: int = LIFETIME_SECONDS


class _Refusal(msgspec.Struct, frozen=True):
    error: str


class _Purpose(NamedTuple):
    token_endpoint: str
    client_id: str
    scopes: str


class _Held(NamedTuple):
    token: str
    until: float


class EHRTokens:
    """The tokens that this process holds for EHR servers."""

    def __init__(self, signing: SigningKeys, clock: Callable[[], float] = time.monotonic) -> None:
        self._signing = signing
        self._clock = clock
        self._held: dict[_Purpose, _Held] = {}
        self._asking: dict[_Purpose, asyncio.Lock] = {}

    async def access_token(self, token_endpoint: str, client_id: str, scopes: str) -> str:
        """A token that is valid for a while yet: one that is held, or a new one.

        Args:
            token_endpoint: of the EHR, from its ``/.well-known/smart-configuration``.
            client_id: what the EHR calls this service.
            scopes: SMART scopes, separated by spaces.

        Raises:
            EHRRefusedError: if the EHR refuses, with its code.
            EHRAwayError: if it does not answer properly.
            DatabaseError: if our own key cannot be read.
        """
        purpose = _Purpose(token_endpoint, client_id, scopes)
        # Many requests may find the token expired at once; one of them asks, for all.
        async with self._asking.setdefault(purpose, asyncio.Lock()):
            held = self._held.get(purpose)
            if held is None or held.until <= self._clock():
                held = self._held[purpose] = await self._new(purpose)
            return held.token

    def forget(self, token: str) -> None:
        """Do not use a token again: the EHR has refused it before its time."""
        self._held = {one: held for one, held in self._held.items() if held.token != token}

    async def _new(self, purpose: _Purpose) -> _Held:
        asked_at = self._clock()
        claims = {
            "iss": purpose.client_id,
            "sub": purpose.client_id,
            "aud": purpose.token_endpoint,
        }
        assertion = await anyio.to_thread.run_sync(self._signing.sign, claims, "JWT")
        form = {
            "grant_type": "client_credentials",
            "scope": purpose.scopes,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        try:
            content = await fetch(purpose.token_endpoint, form)
            answer = msgspec.json.decode(content, type=_Answer)
        except FetchError as error:
            if error.answered in (400, 401, 403):
                raise EHRRefusedError(f"the EHR refuses a token: {_code(error.body)}") from None
            raise EHRAwayError(f"the EHR gives no token: {error}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise EHRAwayError("the EHR's answer is no token") from None
        if answer.token_type.lower() != "bearer" or not answer.access_token:
            raise EHRAwayError("the EHR's answer is no bearer token")
        return _Held(answer.access_token, asked_at + answer.expires_in - MARGIN_SECONDS)


def _code(body: bytes) -> str:
    try:
        code = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "without a reason"
    return code if code in _CODES else "for a reason of its own"
