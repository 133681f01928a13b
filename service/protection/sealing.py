"""Sealing text (AES-256-GCM) and finding it again by a keyed index (HMAC-SHA-256)."""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.protection.keys import Keys, KeysError

_NONCE_BYTES: Final = 12
"""96 bits, as NIST SP 800-38D recommends for GCM."""


def seal(keys: Keys, text: str, context: str) -> bytes:
    """Seal a text for the place where it is kept.

    Args:
        keys: the operator's keys; the current one is used.
        text: what nobody shall read in the database.
        context: names the place (``scores.patient``, say). It is bound to the seal, so that a
            sealed value that is moved to another column does not open.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealing, current = keys.present()
    sealed = AESGCM(sealing[current]).encrypt(nonce, text.encode(), context.encode())
    return current.encode() + b"." + nonce + sealed


def unseal(keys: Keys, sealed: bytes, context: str) -> str:
    """Open what ``seal`` closed, with whichever key closed it.

    Raises:
        KeysError: if that key is not among ``keys``, or the bytes were changed or moved.
    """
    name, _, rest = bytes(sealed).partition(b".")
    key = keys.sealing.get(name.decode("ascii", "replace"))
    if key is None:
        raise KeysError("a value was sealed with a key that is not there any more")
    try:
        opened = AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise KeysError("a sealed value was changed, or moved from another place") from None
    return opened.decode()


def sealed_with(sealed: bytes) -> str:
    """The id of the key that closed a value."""
    return bytes(sealed).partition(b".")[0].decode("ascii", "replace")


def index_of(keys: Keys, kind: str, value: str) -> str:
    """A keyed name for an identifier: equal for equal ones, and no way back without the key.

    Args:
        keys: the operator's keys.
        kind: what the value identifies (``patient``, ``encounter``); equal ids of two kinds get
            different names.
        value: the identifier.

    Returns: 64 hexadecimal digits.
    """
    return hmac.new(keys.index, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()
