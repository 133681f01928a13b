"""Public keys of others: on file, or fetched and kept, with what happens when they change.

An issuer changes its keys without notice, and is away at times. So keys are fetched again when a
token names one that is not there, but not more often than every half minute, whatever strangers
send; and while the issuer is away, what was fetched serves on for a day.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from service.identity.fetching import FetchError, fetch
from service.identity.signed_tokens import Algorithm, PublicKey
from service.observing.logs import Happening, logger

FRESH_SECONDS: Final = 3_600
"""After this long, keys are fetched again, so that a key that was withdrawn is not used on."""

KEPT_SECONDS: Final = 86_400
"""After this long without an answer from their issuer, keys are not used any more."""

BETWEEN_FETCHES_SECONDS: Final = 30
"""An unknown key id leads to a fetch, but anybody can make one up: never sooner than this."""

AFTER_FAILURE_SECONDS: Final = 5
"""A fetch that failed is tried again after this long, so that an issuer that is back is found."""

_RSA_CHARACTERS: Final = range(342, 1_367)
"""Length in base64 of a modulus of 2,048 to 8,192 bits: shorter is weak, longer is slow."""

_CURVES: Final[dict[Algorithm, str]] = {"ES256": "P-256", "ES384": "P-384"}

_log = logger("readmit.identity")


class _JWK(msgspec.Struct, frozen=True):
    """What is read of a key (RFC 7517, section 4): nothing that leads elsewhere, nothing secret."""

    kty: str
    kid: str | None = None
    alg: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] = ("verify",)
    crv: str | None = None
    x: str = ""
    y: str = ""
    n: str = ""
    e: str = ""


class _JWKS(msgspec.Struct, frozen=True):
    keys: tuple[Any, ...]


class PublicKeys:
    """The usable keys of a JWK Set."""

    def __init__(self, content: bytes) -> None:
        """Read a set. A key that is weak, damaged or for something else is left out (RFC 7517, 5).

        Raises:
            ValueError: if it is no JWK Set at all.
        """
        try:
            members = msgspec.json.decode(content, type=_JWKS).keys
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("not a JWK Set") from None
        self._keys = tuple(found for one in members if (found := _usable(one)) is not None)

    def serve(self, algorithms: Collection[Algorithm]) -> bool:
        """Whether any key is made for any of these algorithms."""
        return any(_fits(jwk, algorithm) for jwk, _ in self._keys for algorithm in algorithms)

    def matching(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        """The key of this id that is made for this algorithm.

        A token without a key id is taken to mean the one key that fits, where there is only one.
        """
        fitting = [key for jwk, key in self._keys if _fits(jwk, algorithm)]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        named = (key for jwk, key in self._keys if jwk.kid == kid and _fits(jwk, algorithm))
        return next(named, None)


class RegisteredKeys:
    """Keys that the operator has on file."""

    def __init__(self, keys: PublicKeys) -> None:
        self._keys = keys

    async def matching(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        """The key of this id for this algorithm; None where there is none."""
        return self._keys.matching(kid, algorithm)

    async def address(self) -> str | None:
        """Nowhere: they are on file."""
        return None


class PublishedKeys:
    """Keys that their owner publishes, fetched when they are first needed."""

    def __init__(
        self,
        whose: str,
        locate: Callable[[], Awaitable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know where keys are, without asking for them yet.

        Args:
            whose: names the owner in the log; from the operator's file.
            locate: gives their address, or raises FetchError.
            clock: seconds that never run backwards.
        """
        self._whose = whose
        self._locate = locate
        self._clock = clock
        self._address: str | None = None
        self._keys: PublicKeys | None = None
        self._fetched_at = 0.0
        self._wait_until = 0.0
        self._fetches_ended = 0
        self._fetching = asyncio.Lock()

    async def address(self) -> str | None:
        """Where the keys are published; None as long as their owner has not been reached."""
        if self._address is None:
            await self._refresh()
        return self._address

    async def matching(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        """The key of this id for this algorithm, fetched if need be; None where there is none."""
        found = self._held(kid, algorithm)
        if found is not None and (self._age() < FRESH_SECONDS or self._fetching.locked()):
            # While one request fetches anew, the others need not wait for it.
            return found
        await self._refresh()
        return self._held(kid, algorithm)

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _held(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        if self._keys is None or self._age() > KEPT_SECONDS:
            return None
        return self._keys.matching(kid, algorithm)

    async def _refresh(self) -> None:
        """Fetch, unless it was done a moment ago, or by another request while this one waited."""
        ended = self._fetches_ended
        async with self._fetching:
            if self._fetches_ended > ended or self._clock() < self._wait_until:
                return
            first = self._keys is None
            try:
                address = await self._locate()
                self._keys = PublicKeys(await fetch(address))
            except (FetchError, ValueError) as error:
                _log.warning(
                    Happening.KEYS_NOT_FETCHED,
                    listed=self._whose,
                    reason=error if isinstance(error, FetchError) else FetchError(str(error)),
                )
                self._wait_until = self._clock() + AFTER_FAILURE_SECONDS
            else:
                self._address = address
                self._fetched_at = self._clock()
                # The first fetch was for no unknown id; the first unknown one may have its own.
                self._wait_until = self._fetched_at + (0 if first else BETWEEN_FETCHES_SECONDS)
            self._fetches_ended += 1


def _usable(member: Any) -> tuple[_JWK, PublicKey] | None:
    try:
        jwk = msgspec.convert(member, _JWK)
        if jwk.use not in (None, "sig") or "verify" not in jwk.key_ops:
            return None
        if jwk.kty == "EC" and jwk.crv is not None and jwk.crv in _CURVES.values():
            return jwk, ECKey.import_key({"kty": "EC", "crv": jwk.crv, "x": jwk.x, "y": jwk.y})
        if jwk.kty == "RSA" and len(jwk.n) in _RSA_CHARACTERS:
            rsa = RSAKey.import_key({"kty": "RSA", "n": jwk.n, "e": jwk.e})
            return (jwk, rsa) if rsa.public_key.key_size >= 2_048 else None  # not padded with zeros
    except (msgspec.ValidationError, JoseError, ValueError):
        pass  # the key is one that we cannot use; others of the set may be
    return None


def _fits(jwk: _JWK, algorithm: Algorithm) -> bool:
    if jwk.alg not in (None, algorithm):
        return False
    if algorithm in _CURVES:
        return jwk.kty == "EC" and jwk.crv == _CURVES[algorithm]
    return jwk.kty == "RSA"
