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
from collections.abc import Mapping
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


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    index: bytes
    anchor: bytes
    sealing: dict[str, bytes]
    current: str


class Keys:
    """The keys of one installation. Never printed: its repr names the ids alone.

    Keys that were read from a file are read again when the file was replaced, so that a service
    that runs while the keys are rotated seals with the new key from that moment on.
    """

    def __init__(
        self, *, index: bytes, anchor: bytes, sealing: Mapping[str, bytes], current: str
    ) -> None:
        self.index: Final = index
        self.anchor: Final = anchor
        # One tuple, replaced at once: no thread sees the ids of one file with those of another.
        self._held = (sealing, current)
        self._file: Path | None = None
        self._seen: tuple[int, int] | None = None

    @property
    def sealing(self) -> Mapping[str, bytes]:
        """The sealing keys by id."""
        return self.present()[0]

    @property
    def current(self) -> str:
        """The id of the key that new text is sealed with."""
        return self.present()[1]

    def present(self) -> tuple[Mapping[str, bytes], str]:
        """The sealing keys by id and the current one's id, of one and the same file.

        Raises:
            KeysError: if the file was replaced by one that cannot be read, or that belongs to
                another installation.
        """
        if self._file is not None and _state(self._file) != self._seen:
            self._read_again(self._file)
        return self._held

    def _read_again(self, file: Path) -> None:
        # The state first: a file that is replaced in between is then read once more.
        seen = _state(file)
        if seen is None:
            # Taken away for a moment, or for good: what was read is still good.
            return
        content = _parsed(_content_of(file))
        if (content.index, content.anchor) != (self.index, self.anchor):
            raise KeysError(f"{file}: these are the keys of another installation")
        self._held = (content.sealing, content.current)
        self._seen = seen

    def __repr__(self) -> str:
        sealing, current = self._held
        return f"Keys(current={current!r}, sealing={sorted(sealing)})"


def _state(file: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


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
    return _keys(_parsed(content))


def _keys(content: _Content) -> Keys:
    return Keys(
        index=content.index,
        anchor=content.anchor,
        sealing=content.sealing,
        current=content.current,
    )


def _parsed(content: bytes) -> _Content:
    try:
        keys = msgspec.json.decode(content, type=_Content)
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
    sealing, current = keys.present()
    content = _Content(index=keys.index, anchor=keys.anchor, sealing=dict(sealing), current=current)
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def read_keys(path: Path) -> Keys:
    """Read a file of keys that nobody but its owner may read, now and whenever it is replaced.

    Raises:
        KeysError: if it is absent, open to others, or not a file of keys.
    """
    # The state first, as above.
    seen = _state(path)
    keys = parse_keys(_content_of(path))
    keys._file, keys._seen = path, seen
    return keys


def _content_of(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror or 'cannot be read'}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeysError(f"{path}: others may read it; chmod 600")
    return content


def write_keys(path: Path, keys: Keys, *, replace: bool = False) -> None:
    """Write a file of keys, whole or not at all, for its owner alone.

    A file that is replaced keeps its owner: root may rotate the keys of a service that is not.

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
        if replace and path.exists():
            owner = path.stat()
            os.chown(descriptor, owner.st_uid, owner.st_gid)
        file.write(key_content(keys))
        file.flush()
        os.fsync(file.fileno())
    if replace:
        unfinished.replace(path)
        _sync_folder(path.parent)
        return
    try:
        # A link fails where the name is taken: of two that begin at once, one keeps its keys.
        os.link(unfinished, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeysError(f"{path}: there are keys already") from None
    finally:
        unfinished.unlink()


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, or a power cut could take the new file back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
