"""The service's own keys (ES384): it signs the tokens that it issues, and its client assertions.

They are made when they are first needed, and lie in the database, the private part sealed. The
newest one signs. One that it replaced still verifies until the last token that it signed has
expired. Public keys are derived from what was sealed: whoever can write the database, but has not
the operator's keys, cannot add a key of their own.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import anyio.to_thread
import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from service.database import signing_keys
from service.database.engine import Database
from service.database.signing_keys import Row
from service.identity.signed_tokens import SKEW_SECONDS, Algorithm, PublicKey
from service.protection.keys import Keys
from service.protection.sealing import seal, unseal

ALGORITHM: Final[Algorithm] = "ES384"

LIFETIME_SECONDS: Final = 300
"""Of all that is signed here: tokens (SMART Backend Services: at most five minutes) and client
assertions."""

ROTATED_AFTER_DAYS: Final = 90
"""A key that has signed for this long is replaced."""

PRIVATE_CONTEXT: Final = "signing_keys.private"

_SECOND: Final = 1_000_000
_LOOKED_AT_FOR: Final = 10.0
"""Seconds for which a process believes what it last read: so long may it not know that another one
has rotated the key. The old key verifies for longer than that."""


class _Key(NamedTuple):
    row: Row
    pair: ECKey

    @property
    def public(self) -> dict[str, Any]:
        return self.pair.as_dict(private=False, kid=self.row.kid, alg=ALGORITHM, use="sig")


class SigningKeys:
    """The keys of one installation, shared by its workers through the database."""

    def __init__(
        self, database: Database, keys: Keys, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._held: list[_Key] = []
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def sign(self, claims: Mapping[str, Any], kind: str) -> str:
        """Sign claims as a token of a kind (``typ``) that ends in five minutes.

        Raises:
            DatabaseError: if the keys cannot be read.
            KeysError: if they were sealed with another key than the operator's.
        """
        now = int(self._clock())
        key = self._signing()
        every = {
            **claims,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": ALGORITHM, "kid": key.row.kid, "typ": kind}
        return jwt.encode(header, every, key.pair, algorithms=[ALGORITHM], default_type=None)

    def published(self) -> list[dict[str, Any]]:
        """The public keys that what was signed here can be checked with, as JWKs.

        Raises:
            DatabaseError: if the keys cannot be read.
            KeysError: if they were sealed with another key than the operator's.
        """
        self._signing()
        return [key.public for key in self._verifying()]

    def rotate(self) -> str:
        """Sign with a new key from now on, and give its id.

        Other workers sign with the one before for ten seconds more.

        Raises:
            DatabaseError: if it cannot be kept.
        """
        with self._reading, self._database.writing() as connection:
            signing_keys.hold(connection)
            row = self._new_row()
            signing_keys.replace_with(connection, row)
            self._read_at = float("-inf")
        return row.kid

    async def matching(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        """Our own public key of this id; None where there is none."""
        if algorithm != ALGORITHM:
            return None
        return await anyio.to_thread.run_sync(self._public, kid)

    async def address(self) -> str | None:
        """None: our own tokens do not say where our keys lie."""
        return None

    def _public(self, kid: str | None) -> PublicKey | None:
        for anew in (False, True):
            # Another worker may have signed with a key that it has just made.
            named = (key for key in self._verifying(anew=anew) if key.row.kid == kid)
            key = next(named, None)
            if key is not None:
                return ECKey.import_key(key.public)
        return None

    def _verifying(self, *, anew: bool = False) -> list[_Key]:
        oldest = self._microseconds() - (LIFETIME_SECONDS + SKEW_SECONDS) * _SECOND
        return [
            key
            for key in self._read(anew=anew)
            if key.row.retired_at is None or key.row.retired_at > oldest
        ]

    def _signing(self) -> _Key:
        """The key that signs; made now where there is none, or where it has signed for long."""
        held = self._read()
        if not held or self._is_old(held[0].row):
            with self._database.writing() as connection:
                # Another worker may have been first; once it has let go, this sees what it did.
                signing_keys.hold(connection)
                present = signing_keys.newest_first(connection)
                if not present or self._is_old(present[0]):
                    signing_keys.replace_with(connection, self._new_row())
            held = self._read(anew=True)
        return held[0]

    def _is_old(self, row: Row) -> bool:
        return self._microseconds() - row.made_at > ROTATED_AFTER_DAYS * 86_400 * _SECOND

    def _read(self, *, anew: bool = False) -> list[_Key]:
        with self._reading:
            if anew or not 0 <= time.monotonic() - self._read_at < _LOOKED_AT_FOR:
                with self._database.reading() as connection:
                    rows = signing_keys.newest_first(connection)
                self._held = [_Key(row, self._unsealed(row)) for row in rows]
                self._read_at = time.monotonic()
            return self._held

    def _unsealed(self, row: Row) -> ECKey:
        return ECKey.import_key(
            msgspec.json.decode(unseal(self._keys, row.private_sealed, PRIVATE_CONTEXT))
        )

    def _new_row(self) -> Row:
        pair = ECKey.generate_key("P-384", auto_kid=True)
        private = msgspec.json.encode(pair.as_dict(private=True)).decode()
        return Row(
            kid=pair.thumbprint(),
            private_sealed=seal(self._keys, private, PRIVATE_CONTEXT),
            made_at=self._microseconds(),
        )

    def _microseconds(self) -> int:
        return round(self._clock() * _SECOND)
