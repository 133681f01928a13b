"""Access to the FHIR server: tokens without meaning of their own, looked up in memory."""

import secrets
import time
from typing import Final, NamedTuple

from service.demo_ehr.errors import FHIRError

LIFETIME_SECONDS: Final = 300


class Access(NamedTuple):
    """What a token is good for."""

    scope: str
    patient: str | None
    """The one patient, or None where it is good for all (a system)."""
    until: float

    def allows(self, kind: str, letter: str) -> bool:
        """Whether some scope allows an interaction.

        Args:
            kind: the resource type.
            letter: one of ``cruds`` (SMART App Launch 2.2, scopes of version 2; ``.read`` and
                ``.write`` of version 1 as well).

        """
        for word in self.scope.split():
            what, _, letters = word.partition("?")[0].rpartition(".")
            context, _, of = what.partition("/")
            held = {"read": "rs", "write": "cud", "*": "cruds"}.get(letters, letters)
            if context in ("patient", "user", "system") and of in ("*", kind) and letter in held:
                return True
        return False


class AccessTokens:
    """The tokens that were given."""

    def __init__(self) -> None:
        self._given: dict[str, Access] = {}

    def give(self, scope: str, patient: str | None) -> str:
        """A new token for five minutes."""
        now = time.monotonic()
        self._given = {token: one for token, one in self._given.items() if one.until > now}
        token = secrets.token_urlsafe(32)
        self._given[token] = Access(scope, patient, now + LIFETIME_SECONDS)
        return token

    def of(self, authorization: str | None) -> Access:
        """What a request may do.

        Raises:
            FHIRError: 401 without a token that is good.
        """
        scheme, _, token = (authorization or "").partition(" ")
        found = self._given.get(token) if scheme.lower() == "bearer" else None
        if found is None or found.until < time.monotonic():
            raise FHIRError(401, "login", "An access token is required.")
        return found
