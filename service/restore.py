"""Backup and restore of the database, with what the audit has to say about both.

A restored database ends where the backup ended. If the audit's anchor is further on, entries are
lost, and so is what they recorded: that takes the operator's word. The anchor of before is then
kept as evidence in a file of its own, and the loss is itself an entry.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from service.audit.anchor import AuditError, read_anchor
from service.audit.ledger import Audit, Entry, digest_of
from service.audit.vocabulary import Event
from service.database import audit_entries, backup, migrate
from service.database.engine import Database, DatabaseError
from service.database.sealed_columns import sealed_with_others
from service.protection.keys import Keys, KeysError


class Saved(msgspec.Struct, frozen=True):
    """A backup that was made."""

    file: str
    bytes: int


class Restored(msgspec.Struct, frozen=True):
    """A restore that was done."""

    number: int
    """The last entry of the audit that the backup holds."""
    lost: int | None
    """How many entries the anchor vouched for that the backup does not hold; None where its
    history is another one."""
    aside: tuple[str, ...]
    """Files that were put aside: the database and the anchor as they were."""


def save(audit: Audit, file: Path) -> Saved:
    """Back up a database in use, and enter that in the audit.

    Raises:
        DatabaseError: if the file exists, or the database cannot be read.
        AuditError: if the backup cannot be entered; it is then removed.
        OSError: if the file cannot be written.
    """
    backup.save(audit.database, file)
    try:
        audit.record(Entry(event=Event.DATABASE_SAVED, caller=None))
    except (AuditError, DatabaseError):
        file.unlink()
        raise
    return Saved(str(file), file.stat().st_size)


def restore(
    database: Database, keys: Keys, anchor: Path, file: Path, *, accept_loss: bool = False
) -> Restored:
    """Put a backup in the database's place, once it has been checked.

    SQLite: the service must be stopped; the database of before is put aside. PostgreSQL: the
    database must be empty; the one of before is left as it is.

    Args:
        database: whose place the backup takes.
        keys: the operator's; the backup's sealed values must open with them.
        anchor: file of the audit's anchor.
        file: the backup.
        accept_loss: whether entries that the anchor vouches for may be lost.

    Raises:
        DatabaseError: if the database is in use or not empty, or the backup is none, or of a newer
            version.
        KeysError: if the backup is sealed with keys that are not there.
        AuditError: if the backup's audit is damaged, or ends before the anchor without
            ``accept_loss``.
        OSError: if a file cannot be read or written.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if not database.is_sqlite:
        if not backup.is_empty(database):
            raise DatabaseError(
                "the database is not empty; make a new one, name it in READMIT_DATABASE, and "
                "restore into that"
            )
        backup.load_dump(database, file)
        number, lost = _check(database, keys, anchor, accept_loss=accept_loss)
        kept = _enter(database, keys, anchor, number, stamp)
        return Restored(number, lost, kept)
    if database.file is None:
        raise DatabaseError("a database in memory has nothing to restore")
    with backup.left_alone(database), backup.copied_beside(database, file) as copy:
        number, lost = _check(copy, keys, anchor, accept_loss=accept_loss)
        aside = database.file.with_name(f"{database.file.name}.before-{stamp}")
        # A kill from here on leaves an anchor and a database that do not fit. The same restore,
        # done again, puts that right.
        kept = _enter(copy, keys, anchor, number, stamp)
        backup.take_place(copy, database, aside)
    there = (str(aside),) if aside.exists() else ()
    return Restored(number, lost, (*there, *kept))


def _check(
    database: Database, keys: Keys, anchor: Path, *, accept_loss: bool
) -> tuple[int, int | None]:
    """The last entry's number, and how many that the anchor vouches for are lost."""
    migrate.upgrade_known(database)
    with database.reading() as connection:
        others = sealed_with_others(connection, tuple(keys.sealing))
    if others:
        raise KeysError(
            f"{others} values of the backup are sealed with keys that are not there; restore with "
            "the file of keys of that time (readmit keys rotate put it aside)"
        )
    anchored = read_anchor(anchor, keys)
    number, fits = _chain(database, None if anchored is None else (anchored.number, anchored.hash))
    if anchored is None or fits:
        return number, 0
    lost = anchored.number - number if anchored.number > number else None
    if not accept_loss:
        what = "has another history" if lost is None else f"lacks the last {lost} entries"
        raise AuditError(
            f"the backup {what} that the audit's anchor vouches for; --accept-loss-after-anchor "
            "restores it all the same, and says so in the audit"
        )
    return number, lost


def _chain(database: Database, anchored: tuple[int, str] | None) -> tuple[int, bool]:
    """The last number of a chain that holds, and whether it has the entry that is anchored."""
    number, previous, fits = 0, audit_entries.START, anchored is None or anchored[0] == 0
    with database.reading() as connection:
        head = audit_entries.hold_head(connection)
        for row in audit_entries.entries(connection):
            number += 1
            if (row.number, row.previous, row.hash) != (number, previous, digest_of(row)):
                raise AuditError(f"the backup's audit does not hold at entry {number}")
            previous = row.hash
            fits = fits or (number, previous) == anchored
    if head != (number, previous):
        raise AuditError("the backup's audit does not end where it says")
    return number, fits


def _enter(
    database: Database, keys: Keys, anchor: Path, number: int, stamp: str
) -> tuple[str, ...]:
    """Enter the restore; the anchor then vouches for the restored chain's end."""
    kept: tuple[str, ...] = ()
    restored = anchor.with_name(f".{anchor.name}.restoring")
    restored.unlink(missing_ok=True)
    entry = Entry(event=Event.DATABASE_RESTORED, caller=None, details={"number": number})
    Audit(database, keys, restored).record(entry)
    if anchor.exists():
        evidence = anchor.with_name(f"{anchor.name}.before-{stamp}")
        shutil.copyfile(anchor, evidence)
        evidence.chmod(0o600)
        kept = (str(evidence),)
    restored.replace(anchor)
    backup.sync(anchor.parent)
    return kept
