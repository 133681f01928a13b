"""Backup and restore of the database, with what the audit has to say about both.

A restored database ends where the backup ended. If the audit's anchor is further on, entries are
lost, and so is what they recorded: that takes the operator's word. The anchor of before is then
kept as evidence in a file of its own, and the loss is itself an entry.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from service.audit.anchor import AuditError
from service.audit.ledger import Audit, Entry
from service.audit.verify import verify
from service.audit.vocabulary import Event
from service.database import backup, migrate
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
    seen = verify(database, keys, anchor)
    if seen.finding is None:
        return seen.entries, 0
    if seen.finding.fault not in ("anchor", "cut"):
        raise AuditError(f"the backup's audit is not whole: {seen.finding.message}")
    lost = None
    if seen.finding.fault == "cut" and seen.anchored is not None:
        lost = seen.anchored - seen.entries
    if not accept_loss:
        what = "has another history than" if lost is None else f"lacks the last {lost} of"
        raise AuditError(
            f"the backup {what} the entries that the audit's anchor vouches for; "
            "--accept-loss-after-anchor restores it all the same, and says so in the audit"
        )
    # The anchor hides what comes after it from view: the chain itself must hold all the same.
    whole = _without_anchor(database, keys, anchor)
    return whole, lost


def _without_anchor(database: Database, keys: Keys, anchor: Path) -> int:
    """The last entry's number of a chain that holds, whatever the anchor vouches for."""
    seen = verify(database, keys, anchor.with_name(f".{anchor.name}.none"))
    if seen.finding is not None and seen.finding.fault != "anchor":
        raise AuditError(f"the backup's audit is not whole: {seen.finding.message}")
    return seen.entries


def _enter(
    database: Database, keys: Keys, anchor: Path, number: int, stamp: str
) -> tuple[str, ...]:
    """Enter the restore; the anchor then vouches for the restored chain's end."""
    kept: tuple[str, ...] = ()
    if anchor.exists():
        evidence = anchor.with_name(f"{anchor.name}.before-{stamp}")
        os.link(anchor, evidence)
        kept = (str(evidence),)
        # The file that lies aside must not change with the one that is written now.
        renewed = anchor.with_name(f".{anchor.name}.restoring")
        renewed.unlink(missing_ok=True)
    else:
        renewed = anchor
    entry = Entry(event=Event.DATABASE_RESTORED, caller=None, details={"number": number})
    Audit(database, keys, renewed).anchor_anew(entry)
    if renewed != anchor:
        renewed.replace(anchor)
    backup.sync(anchor.parent)
    return kept
