"""Whether the audit is what was written: every entry, their order, and their end."""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from service.audit.anchor import Anchor, AuditError, read_anchor
from service.audit.ledger import PATIENT_CONTEXT, digest_of
from service.database import audit_entries
from service.database.audit_entries import START, Row
from service.database.engine import Database
from service.protection.keys import Keys, KeysError
from service.protection.sealing import index_of, unseal

Fault = Literal["altered", "missing", "unjoined", "patient", "cut", "head", "anchor"]

TELL_EVERY = 500
"""Entries between two reports of progress."""


class Finding(msgspec.Struct, frozen=True):
    """The first thing that is not as it was written."""

    number: int | None
    """The entry where it shows; None where no single entry is at fault."""
    fault: Fault
    message: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification saw."""

    entries: int
    """How many entries are whole and joined, from the first on."""
    last_hash: str
    anchored: int | None
    """The number of the anchored entry; None where nothing vouches for the end."""
    finding: Finding | None

    @property
    def after_anchor(self) -> int:
        """Entries that were committed and not anchored: those of a crash, or of this moment."""
        return 0 if self.anchored is None else max(0, self.entries - self.anchored)


def verify(
    database: Database,
    keys: Keys,
    anchor_file: Path,
    report: Callable[[int, int], None] = lambda _done, _whole: None,
) -> Verification:
    """Walk the chain from its first entry to its last, and compare its end with the anchor.

    The service may go on meanwhile: the anchor is read before the entries and the head on both
    sides of them, so that what is added at the same time is no finding.

    Args:
        database: the service's database.
        keys: the operator's keys: without them a hash can be neither checked nor forged.
        anchor_file: the second file.
        report: told how many entries are done, and how many there are.

    Raises:
        DatabaseError: if the database cannot be read.
    """
    anchor, about_anchor = _anchor(anchor_file, keys)
    with database.reading() as connection:
        walk = _Walk(keys, anchor)
        try:
            first_head = audit_entries.head(connection)
            with closing(audit_entries.entries(connection)) as rows:
                walk.follow(rows, lambda done: report(done, max(first_head[0], done)))
            last_head = audit_entries.head(connection)
        except LookupError as error:
            walk.finding = walk.finding or Finding(None, "head", str(error))
        else:
            walk.finding = walk.finding or walk.end(first_head, last_head)
            report(walk.number, max(first_head[0], walk.number))
    return Verification(
        entries=walk.number,
        last_hash=walk.hash,
        anchored=None if anchor is None else anchor.number,
        finding=walk.finding or _without_anchor(walk, anchor, about_anchor),
    )


def _anchor(path: Path, keys: Keys) -> tuple[Anchor | None, str]:
    try:
        return read_anchor(path, keys), "the audit's anchor is missing"
    except AuditError as error:
        return None, str(error)


def _without_anchor(walk: "_Walk", anchor: Anchor | None, why: str) -> Finding | None:
    if anchor is None and walk.number > 0:
        return Finding(None, "anchor", f"{why}: nothing vouches for the end of the chain")
    return None


class _Walk:
    """How far the chain was followed."""

    def __init__(self, keys: Keys, anchor: Anchor | None) -> None:
        self.number = 0
        self.hash = START
        self.finding: Finding | None = None
        self._keys = keys
        self._anchor = anchor

    def follow(self, rows: Iterable[Row], report: Callable[[int], None]) -> None:
        """Follow the chain for as long as it is whole."""
        for row in rows:
            self.finding = self._look_at(row)
            if self.finding is not None:
                return
            if self.number % TELL_EVERY == 0:
                report(self.number)

    def _look_at(self, row: Row) -> Finding | None:
        """Follow the chain by one entry, unless that is not the one that comes next."""
        wanted = self.number + 1
        if row.number != wanted:
            return Finding(wanted, "missing", f"entry {wanted} is missing")
        finding = self._fault(row)
        if finding is None:
            self.number, self.hash = row.number, row.hash
        return finding

    def _fault(self, row: Row) -> Finding | None:
        number, anchor = row.number, self._anchor
        if digest_of(self._keys, row) != row.hash:
            return Finding(number, "altered", f"entry {number} is not what was written")
        if row.previous != self.hash:
            return Finding(number, "unjoined", f"entry {number} does not follow the one before it")
        if anchor is not None and anchor.number == number and anchor.hash != row.hash:
            return Finding(number, "anchor", f"entry {number} is not the one that was anchored")
        if not self._sealed_is_indexed(row):
            message = f"entry {number}: the sealed patient is not who it is about"
            return Finding(number, "patient", message)
        return None

    def _sealed_is_indexed(self, row: Row) -> bool:
        """What the hash leaves out, so that keys can be rotated: whom the entry is about."""
        if row.patient_sealed is None or row.patient_index is None:
            return row.patient_sealed is None and row.patient_index is None
        try:
            patient = unseal(self._keys, row.patient_sealed, PATIENT_CONTEXT)
        except KeysError:
            return False
        return index_of(self._keys, "patient", patient) == row.patient_index

    def end(self, first_head: tuple[int, str], last_head: tuple[int, str]) -> Finding | None:
        """What the anchor and the head say of a chain that is whole up to here."""
        behind = self.number + 1
        if self._anchor is not None and self._anchor.number > self.number:
            message = (
                f"entry {behind} is missing: the chain was anchored at {self._anchor.number} "
                f"and ends at {self.number}"
            )
            return Finding(behind, "cut", message)
        if self.number < first_head[0]:
            message = f"entry {behind} is missing: the head names {first_head[0]} as the last"
            return Finding(behind, "cut", message)
        if self.number > last_head[0]:
            return Finding(
                last_head[0] + 1, "head", f"entry {last_head[0] + 1} lies behind the chain's head"
            )
        if self.number == last_head[0] and self.hash != last_head[1]:
            return Finding(self.number, "head", f"the head names another entry {self.number}")
        return None
