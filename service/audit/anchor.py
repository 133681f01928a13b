"""Where the chain ends, in a second file: what makes a cut at its end visible.

The file holds the number and the hash of the last entry and an HMAC over both. It is written after
each commit. A crash between the two leaves it one entry behind, which is no alarm: the chain must
hold the anchored entry, and may be longer.
"""

import fcntl
import hashlib
import hmac
import os
from pathlib import Path

import msgspec

from fhir_mappings.errors import ReadmitError
from service.protection.keys import Keys


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
    line = msgspec.json.encode(Anchor(number, digest, _vouch(keys, number, digest)))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            present = os.pread(descriptor, 4096, 0)
            if _number(present) >= number:
                return
            # Shorter than a block of the disk and of nearly constant length: written in one go.
            os.pwrite(descriptor, line.ljust(len(present)), 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AuditError(f"the audit's anchor cannot be written: {error.strerror}") from None


def read_anchor(path: Path, keys: Keys) -> Anchor | None:
    """The end of the chain as it was anchored; None where there is no file.

    Raises:
        AuditError: if the file is not one that these keys vouch for.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AuditError(f"the audit's anchor cannot be read: {error.strerror}") from None
    try:
        anchor = msgspec.json.decode(content, type=Anchor)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise AuditError("the audit's anchor is damaged") from None
    if not hmac.compare_digest(anchor.vouched, _vouch(keys, anchor.number, anchor.hash)):
        raise AuditError("the audit's anchor was not written with these keys")
    return anchor


def _number(content: bytes) -> int:
    if not content.strip():
        return 0
    try:
        return msgspec.json.decode(content, type=Anchor).number
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise AuditError("the audit's anchor is damaged") from None


def _vouch(keys: Keys, number: int, digest: str) -> str:
    return hmac.new(keys.anchor, f"{number} {digest}".encode(), hashlib.sha256).hexdigest()
