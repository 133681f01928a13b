"""Keys that are made when the EHR starts, and are nowhere but in its memory."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

ALGORITHM: Final = "ES384"
"""As the public CDS Hooks sandbox signs."""
LIFETIME_SECONDS: Final = 300


class SigningKey:
    """One issuer's key."""

    def __init__(self, issuer: str, jwks_uri: str) -> None:
        self.issuer: Final = issuer
        self.jwks_uri: Final = jwks_uri
        described: Any = {"kid": secrets.token_hex(8), "alg": ALGORITHM, "use": "sig"}
        self._key = ECKey.generate_key("P-384", described)

    def sign(self, claims: Mapping[str, Any], kind: str = "JWT") -> str:
        """A token of some claims, good for five minutes and with an id of its own.

        Args:
            claims: beside ``iss``, ``iat``, ``exp`` and ``jti``.
            kind: its ``typ``: ``at+jwt`` for an access token (RFC 9068).

        """
        now = int(time.time())
        whole = {
            "iss": self.issuer,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(24),
            **claims,
        }
        header = {"alg": ALGORITHM, "kid": self._key.kid, "typ": kind}
        if kind == "JWT":
            header["jku"] = self.jwks_uri
        return jwt.encode(header, whole, self._key, algorithms=[ALGORITHM], default_type=None)

    def published(self) -> dict[str, Any]:
        """The JWK Set that others check with: the public half."""
        return {"keys": [self._key.as_dict(private=False)]}
