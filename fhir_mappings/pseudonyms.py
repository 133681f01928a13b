"""Pseudonyms: the same name for the same patient or stay, that leads nowhere without a key.

They are keyed hashes (HMAC-SHA256, RFC 2104): an unkeyed hash of a record number is undone by
hashing all record numbers. Who has the key and the store can tell who is who, and nobody else.
"""

import hmac
import os
import secrets
from pathlib import Path
from typing import Literal

from fhir_mappings.errors import PseudonymError

KEY_FILE = "pseudonym.key"
"""The key's file, in the folder of the event store: it is of no use without the records there, and
they need no pseudonym without it."""

_KEY_BYTES = 32
_LENGTH = 32
"""Hexadecimal digits of a pseudonym: 128 bits, so that no two of a billion share one."""


class Pseudonyms:
    """Pseudonyms under one key.

    Args:
        key: 32 secret bytes. Another key gives other pseudonyms.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, resource_type: Literal["Patient", "Encounter"], identifier: str) -> str:
        """The pseudonym of a resource's id; of equal ids of two types the pseudonyms differ."""
        told = f"{resource_type}/{identifier}".encode()
        return hmac.digest(self._key, told, "sha256").hex()[:_LENGTH]


def store_pseudonyms(store: Path) -> Pseudonyms:
    """The pseudonyms of a store, under the key in its folder, which is made at first need.

    Args:
        store: the folder of the event store.

    Raises:
        PseudonymError: if the key cannot be read or made, or is not 32 bytes in hexadecimal.
    """
    path = store / KEY_FILE
    try:
        if not path.exists():
            _make(path)
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise PseudonymError(
            f"{KEY_FILE} in the store's folder: {error.strerror}; a study needs to read it, and to "
            "write it once"
        ) from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise PseudonymError(f"{KEY_FILE} in the store's folder is not a key of 32 bytes")
    return Pseudonyms(key)


def _make(path: Path) -> None:
    """Make a key that its owner alone may read; of two who make one at once, the first counts."""
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(whole)
        except FileExistsError:
            return
    finally:
        whole.unlink()
