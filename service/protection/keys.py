"""The operator's keys: one file (or one variable), three purposes, never in the database.

- ``index``: keyed HMACs that rows are found by, and pseudonyms. It stays: with another one, nothing
  that was kept would be found again.
- ``anchor``: vouches for the head of the audit's chain, so that whoever can write the database
  cannot also write a head that fits.
- ``sealing``: AES-GCM keys by id. New text is sealed with the current one; older ones still open
  what they sealed, until ``readmit keys rotate`` has sealed it anew.
"""

import binascii
import os
import secrets
import stat
from pathlib import Path
from typing import Final

import msgspec

from fhir_mappings.errors import ReadmitError

KEY_BYTES: Final = 32
"""AES-256 and HMAC-SHA-256."""


class KeysError(ReadmitError):
    """The operator's keys are absent, malformed, or readable by others."""

    exit_code = 2
    status = 503
    title = "Keys"


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of one installation. Never printed: its repr names the ids alone."""

    index: bytes
    anchor: bytes
    sealing: dict[str, bytes]
    current: str

    def __repr__(self) -> str:
        return f"Keys(current={self.current!r}, sealing={sorted(self.sealing)})"


def new_keys() -> Keys:
    """Make the keys of a new installation."""
    return Keys(
        index=secrets.token_bytes(KEY_BYTES),
        anchor=secrets.token_bytes(KEY_BYTES),
        sealing={"k1": secrets.token_bytes(KEY_BYTES)},
        current="k1",
    )


def parse_keys(content: bytes) -> Keys:
    """Read keys from what ``key_content`` gave.

    Raises:
        KeysError: if it is not that; the message quotes nothing.
    """
    try:
        keys = msgspec.json.decode(content, type=Keys)
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError):
        raise KeysError("the keys are not what `readmit keys new` writes") from None
    every = [keys.index, keys.anchor, *keys.sealing.values()]
    if keys.current not in keys.sealing or any(len(key) != KEY_BYTES for key in every):
        raise KeysError("the keys are not what `readmit keys new` writes")
    if any(not name.isascii() or not name.isalnum() for name in keys.sealing):
        raise KeysError("the id of a key is not made of letters and digits")
    return keys


def key_content(keys: Keys) -> bytes:
    """Keys as JSON, each in base64."""
    return msgspec.json.format(msgspec.json.encode(keys)) + b"\n"


def read_keys(path: Path) -> Keys:
    """Read a file of keys that nobody but its owner may read.

    Raises:
        KeysError: if it is absent, open to others, or not a file of keys.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror or 'cannot be read'}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeysError(f"{path}: others may read it; chmod 600")
    return parse_keys(content)


def write_keys(path: Path, keys: Keys, *, replace: bool = False) -> None:
    """Write a file of keys, whole or not at all, for its owner alone.

    Raises:
        KeysError: if there is one already and ``replace`` is not given: what it sealed would be
            lost for good.
    """
    if path.exists() and not replace:
        raise KeysError(f"{path}: there are keys already; what they sealed would be lost")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key_content(keys))
        file.flush()
        os.fsync(file.fileno())
    if replace:
        unfinished.replace(path)
        return
    try:
        # A link fails where the name is taken: of two that begin at once, one keeps its keys.
        os.link(unfinished, path)
    except FileExistsError:
        raise KeysError(f"{path}: there are keys already") from None
    finally:
        unfinished.unlink()
