"""The service's own keys (ES384): it signs the tokens that it issues, and its client assertions.

They are made when they are first needed, and lie in the database, the private part sealed. The
newest one signs. One that it replaced still verifies until the last token that it signed has
expired.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

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


class SigningKeys:
    """The keys of one installation, shared by its workers through the database."""

    def __init__(
        self, database: Database, keys: Keys, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._rows: list[Row] = []
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def sign(self, claims: Mapping[str, Any], kind: str) -> str:
        """Sign claims as a token of a kind (``typ``) that ends in five minutes.

        Raises:
            DatabaseError: if the keys cannot be read.
            KeysError: if they were sealed with another key.
        """
        now = int(self._clock())
        row = self._signing()
        key = ECKey.import_key(
            msgspec.json.decode(unseal(self._keys, row.private_sealed, PRIVATE_CONTEXT))
        )
        every = {
            **claims,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": ALGORITHM, "kid": row.kid, "typ": kind}
        return jwt.encode(header, every, key, algorithms=[ALGORITHM], default_type=None)

    def published(self) -> list[dict[str, Any]]:
        """The public keys that what was signed here can be checked with, as JWKs.

        Raises:
            DatabaseError: if the keys cannot be read.
        """
        self._signing()
        return [msgspec.json.decode(row.public_jwk) for row in self._verifying()]

    def rotate(self) -> str:
        """Sign with a new key from now on, and give its id.

        Raises:
            DatabaseError: if it cannot be kept.
        """
        with self._reading, self._database.writing() as connection:
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
            named = (row for row in self._verifying(anew=anew) if row.kid == kid)
            row = next(named, None)
            if row is not None:
                return ECKey.import_key(msgspec.json.decode(row.public_jwk))
        return None

    def _verifying(self, *, anew: bool = False) -> list[Row]:
        oldest = self._microseconds() - (LIFETIME_SECONDS + SKEW_SECONDS) * _SECOND
        return [
            row
            for row in self._read(anew=anew)
            if row.retired_at is None or row.retired_at > oldest
        ]

    def _signing(self) -> Row:
        """The key that signs; made now where there is none, or where it has signed for long."""
        rows = self._read()
        if rows and not self._is_old(rows[0]):
            return rows[0]
        with self._reading, self._database.writing() as connection:
            # Another worker may have been first; this transaction sees what it did.
            present = signing_keys.newest_first(connection)
            if not present or self._is_old(present[0]):
                row = self._new_row()
                signing_keys.replace_with(connection, row)
            else:
                row = present[0]
            self._read_at = float("-inf")
        return row

    def _is_old(self, row: Row) -> bool:
        return self._microseconds() - row.made_at > ROTATED_AFTER_DAYS * 86_400 * _SECOND

    def _read(self, *, anew: bool = False) -> list[Row]:
        with self._reading:
            if anew or not 0 <= time.monotonic() - self._read_at < _LOOKED_AT_FOR:
                with self._database.reading() as connection:
                    self._rows = signing_keys.newest_first(connection)
                self._read_at = time.monotonic()
            return self._rows

    def _new_row(self) -> Row:
        key = ECKey.generate_key("P-384", auto_kid=True)
        described = {"kid": key.kid, "alg": ALGORITHM, "use": "sig"}
        private = msgspec.json.encode(key.as_dict(private=True, **described)).decode()
        return Row(
            kid=str(key.kid),
            public_jwk=msgspec.json.encode(key.as_dict(private=False, **described)).decode(),
            private_sealed=seal(self._keys, private, PRIVATE_CONTEXT),
            made_at=self._microseconds(),
        )

    def _microseconds(self) -> int:
        return round(self._clock() * _SECOND)
