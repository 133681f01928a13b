"""Where the chain ends, in a second file: what makes a cut at its end visible.

The file holds the number and the hash of the last entry and an HMAC over both, twice: a page of the
disk each, written in turn. Whatever interrupts a write, the other page still holds what was there.

It is written after each commit. A crash between the two leaves it behind, which is no alarm: the
chain must hold the anchored entry, and may be longer. It is never ahead: who appends looks first
(``check_anchor``), so that a chain that was cut is not grown again past its anchor.
"""

import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from fhir_mappings.errors import ReadmitError
from service.protection.keys import Keys

PAGE: Final = 4096
"""Bytes of each of the two copies: what a disk writes whole, or leaves."""


class AuditError(ReadmitError):
    """The audit cannot be written, or is not what was written."""

    exit_code = 9
    status = 503
    title = "Audit"


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of the chain, vouched for."""

    number: int
    hash: str
    vouched: str


def write_anchor(path: Path, keys: Keys, number: int, digest: str) -> None:
    """Move the anchor forward; one that is ahead already stays (another process wrote it).

    Raises:
        AuditError: if the file cannot be written.
    """
    with _opened(path, fcntl.LOCK_EX, create=True) as descriptor:
        copies = _copies(descriptor, keys)
        numbers = [-1 if copy is None else copy.number for copy in copies]
        if max(numbers) >= number:
            return
        # The older copy, or the damaged one: the newer stays whole until this one is.
        older = numbers.index(min(numbers))
        _write(descriptor, keys, number, digest, older)


def check_anchor(path: Path, keys: Keys, number: int, digest: str) -> None:
    """See to it that the chain, which ends here, was not cut; asked by whoever holds its end.

    The first entry of all makes the file, before it is committed: from then on, its absence is a
    finding.

    Raises:
        AuditError: if the file is absent or damaged, or vouches for an entry that is not there.
    """
    anchor = read_anchor(path, keys, tolerate_damage=number == 0)
    if anchor is None:
        if number > 0:
            raise AuditError(
                "the audit's anchor is missing; see `readmit audit verify`, then "
                "`readmit audit anchor`"
            )
        write_anchor(path, keys, number, digest)
    elif anchor.number > number or (anchor.number == number and anchor.hash != digest):
        raise AuditError(
            "the audit ends before its anchor: entries were removed; see `readmit audit verify`"
        )


def read_anchor(path: Path, keys: Keys, *, tolerate_damage: bool = False) -> Anchor | None:
    """The end of the chain as it was anchored; None where nothing was anchored yet.

    Args:
        path: the file.
        keys: the operator's keys.
        tolerate_damage: take a file that nothing vouches for as if there were none: of a chain
            without an entry, it is one whose first write was interrupted.

    Raises:
        AuditError: if the file is not one that these keys vouch for.
    """
    try:
        with _opened(path, fcntl.LOCK_SH) as descriptor:
            copies = _copies(descriptor, keys)
            empty = os.fstat(descriptor).st_size == 0
    except FileNotFoundError:
        return None
    found = [copy for copy in copies if copy is not None]
    if found:
        return max(found, key=lambda anchor: anchor.number)
    if empty or tolerate_damage:
        return None
    raise AuditError("the audit's anchor is damaged, or was not written with these keys")


def renew_anchor(path: Path, keys: Keys, number: int, digest: str) -> None:
    """Set the anchor anew, back if need be: after a restore, or when its file was lost.

    Raises:
        AuditError: if the file cannot be written.
    """
    with _opened(path, fcntl.LOCK_EX, create=True) as descriptor:
        for copy in (0, 1):
            _write(descriptor, keys, number, digest, copy)
        os.fsync(descriptor)


@contextmanager
def _opened(path: Path, lock: int, *, create: bool = False) -> Iterator[int]:
    """The file, locked among threads and processes alike."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT if create else os.O_RDONLY, 0o600)
        try:
            fcntl.flock(descriptor, lock)
            yield descriptor
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        if create:
            raise AuditError("the audit's anchor cannot be written: no such folder") from None
        raise
    except OSError as error:
        done = "written" if create else "read"
        raise AuditError(f"the audit's anchor cannot be {done}: {error.strerror}") from None


def _copies(descriptor: int, keys: Keys) -> list[Anchor | None]:
    """Both copies; None for one that is absent, torn, or not vouched for."""
    content = os.pread(descriptor, 2 * PAGE, 0)
    return [_parsed(content[start : start + PAGE], keys) for start in (0, PAGE)]


def _parsed(content: bytes, keys: Keys) -> Anchor | None:
    try:
        anchor = msgspec.json.decode(content, type=Anchor)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not hmac.compare_digest(
        anchor.vouched.encode(), _vouch(keys, anchor.number, anchor.hash).encode()
    ):
        return None
    return anchor


def _write(descriptor: int, keys: Keys, number: int, digest: str, copy: int) -> None:
    line = msgspec.json.encode(Anchor(number, digest, _vouch(keys, number, digest)))
    content = line.ljust(PAGE - 1) + b"\n"
    if os.pwrite(descriptor, content, copy * PAGE) < PAGE:
        raise AuditError("the audit's anchor cannot be written: no room")


def _vouch(keys: Keys, number: int, digest: str) -> str:
    return hmac.digest(keys.anchor, f"anchor {number} {digest}".encode(), hashlib.sha256).hex()
