"""A JSON Web Token, from text to claims that can be relied on. Every check of one is in this file.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices). What a token says of itself is
used for nothing before its signature holds, but to find the issuer and the key that it names: the
algorithms that may have signed it are the operator's list, never the token's wish.
"""

from collections.abc import Collection
from typing import Any, Final, Literal, NoReturn, Protocol

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact

from service.identity.errors import UnauthenticatedError
from service.observing.logs import Happening, logger, word_of

Algorithm = Literal["RS256", "RS384", "ES256", "ES384"]
"""All that is ever accepted: signatures by a private key. Neither ``none`` nor HMAC is among them,
so that a public key can never pass for a shared secret."""

PublicKey = RSAKey | ECKey

SKEW_SECONDS: Final = 60
"""How far clocks may differ: an expired token is accepted for less than this long."""

LARGEST_TOKEN: Final = 16_384
"""Characters. A token with the groups of a large hospital has some four thousand."""

_REGISTRY: Final = JWSRegistry(algorithms=("RS256", "RS384", "ES256", "ES384"))
# Certificates in a header (x5c) are long and are passed over; the library's own limit is 512.
_REGISTRY.max_header_length = 8_192

_END_OF_TIME: Final = 32_503_680_000
"""The year 3000. A later moment is no time that a token is meant to end at."""

_log = logger("readmit.identity")

Why = Literal[
    "header",
    "form",
    "size",
    "algorithm",
    "type",
    "issuer",
    "key",
    "signature",
    "claims",
    "audience",
    "expired",
    "lifetime",
    "not yet valid",
    "bound to a key",
    "used before",
    "nobody known here",
]
"""Why a token is refused: for the log alone, and as a word of this list."""


def refuse(why: Why) -> NoReturn:
    """Refuse a token: the reason goes to the log, and never to whoever sent it.

    Raises:
        UnauthenticatedError: always, and always the same.
    """
    _log.info(Happening.TOKEN_REFUSED, why=word_of(Why, why))
    raise UnauthenticatedError


class KeySource(Protocol):
    """Where the public keys of one signer are found."""

    async def matching(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        """The key of this id for this algorithm; None where there is none."""

    async def address(self) -> str | None:
        """Where the keys are published; None where they are only on file."""


class Header(msgspec.Struct, frozen=True):
    """What is read of a token's header; the rest is passed over (RFC 7515, section 4)."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    jku: str | None = None
    x5u: Any = None
    jwk: Any = None
    crit: Any = None
    b64: Any = None


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The registered claims (RFC 7519, section 4.1). Times are seconds since 1970."""

    iss: str
    aud: str | tuple[str, ...]
    exp: float
    sub: str | None = None
    nbf: float | None = None
    iat: float | None = None
    jti: str | None = None

    @property
    def audiences(self) -> tuple[str, ...]:
        """For whom the token was made."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud


class SignedToken:
    """A token that was read and is not to be believed yet: ``verify`` decides."""

    def __init__(self, text: str) -> None:
        """Read a token in compact form.

        Raises:
            UnauthenticatedError: if it is none.
        """
        if len(text) > LARGEST_TOKEN:
            refuse("size")
        try:
            self._signed: CompactSignature = extract_compact(text.encode(), None, _REGISTRY)
            self.header: Final = msgspec.convert(self._signed.headers(), Header)
            self.all_claims: Final = msgspec.json.decode(
                self._signed.payload or b"", type=dict[str, Any]
            )
            self.claims: Final = msgspec.convert(self.all_claims, Claims)
        # RecursionError: a header of a thousand brackets.
        except (JoseError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            refuse("form")

    async def verify(self, keys: KeySource, algorithms: Collection[Algorithm]) -> None:
        """Check the signature, with a key that is the signer's by the operator's word.

        A header may name where its key lies (``jku``): that is compared with where the signer's
        keys are known to be, and never followed. A key that comes along (``jwk``, ``x5u``) is
        refused, as is what must be understood and is not (``crit``).

        Raises:
            UnauthenticatedError: if it does not hold.
        """
        header = self.header
        algorithm = next((one for one in algorithms if one == header.alg), None)
        if algorithm is None:
            refuse("algorithm")
        if any(part is not None for part in (header.x5u, header.jwk, header.crit, header.b64)):
            refuse("header")
        if header.jku is not None and header.jku != await keys.address():
            refuse("header")
        key = await keys.matching(header.kid, algorithm)
        if key is None:
            refuse("key")
        try:
            holds = validate_compact(self._signed, key, (algorithm,), _only(algorithm))
        except (JoseError, ValueError):
            holds = False
        if not holds:
            refuse("signature")

    def check(self, *, issuer: str, audience: str | Collection[str], now: float) -> None:
        """Check for whom the token is and when (RFC 7519, sections 4.1.1 to 4.1.6).

        Args:
            issuer: whose it must be.
            audience: whom it must be for; of several, one is enough.
            now: seconds since 1970.

        Raises:
            UnauthenticatedError: if it is from or for another one, over, or not valid yet. A token
                that was issued in the future was issued by a clock that is wrong, or by nobody.
        """
        claims = self.claims
        if claims.iss != issuer:
            refuse("issuer")
        accepted = {audience} if isinstance(audience, str) else set(audience)
        if accepted.isdisjoint(claims.audiences):
            refuse("audience")
        if not now - SKEW_SECONDS < claims.exp < _END_OF_TIME:
            refuse("expired")
        if any(
            moment is not None and moment > now + SKEW_SECONDS
            for moment in (claims.nbf, claims.iat)
        ):
            refuse("not yet valid")

    def check_type(self, accepted: Collection[str | None]) -> None:
        """Check what kind of token it says that it is (RFC 8725, section 3.11).

        Args:
            accepted: values of ``typ`` in lower case; None for a token that says nothing.

        Raises:
            UnauthenticatedError: if it is of another kind.
        """
        kind = self.header.typ and self.header.typ.lower().removeprefix("application/")
        if kind not in accepted:
            refuse("type")


def _only(algorithm: Algorithm) -> JWSRegistry:
    """The library's own list of algorithms, cut down to one."""
    # Parameters that the library does not know are to be passed over, not refused (RFC 7515, 4).
    return JWSRegistry(algorithms=(algorithm,), strict_check_header=False)
