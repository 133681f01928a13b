"""Backup and restore: what is restored was checked, and what is lost is said.

A file takes the place of a file. A server's dump goes into an empty database: there, what would be
lost or changed in place has no meaning, and those tests are of SQLite alone.
"""

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from each_database import database_in, empty_database_in, on_sqlite_alone
from installation import CANARY, Installation, fill, score_row
from sqlalchemy import func, insert, select, update

from service.audit.anchor import AuditError, read_anchor
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import audit_entries, tables
from service.database.engine import Database, DatabaseError
from service.database.migrate import upgrade
from service.key_rotation import rotate
from service.protection.keys import KeysError
from service.restore import Restored, restore, save

pytestmark = pytest.mark.usefixtures("each_database")


def saved(installation: Installation, name: str = "backup", password: str | None = None) -> Path:
    database = installation.database(password)
    try:
        return Path(save(installation.audit(database), installation.folder / name).file)
    finally:
        database.close()


def restored(
    installation: Installation, file: Path, password: str | None = None, **options: bool
) -> Restored:
    if not database_in(installation.folder).startswith("sqlite"):
        empty_database_in(installation.folder)
    database = installation.database(password)
    try:
        return restore(database, installation.keys, installation.anchor, file, **options)
    finally:
        database.close()


def events(installation: Installation, password: str | None = None) -> list[str]:
    database = installation.database(password)
    with database.reading() as connection:
        found = [row.event for row in audit_entries.entries(connection)]
    database.close()
    return found


def more(installation: Installation, count: int = 3) -> None:
    database = installation.database()
    for _ in range(count):
        installation.audit(database).record(Entry(event=Event.SIGNED_IN, caller=None))
    database.close()


def anchored(installation: Installation) -> int:
    found = read_anchor(installation.anchor, installation.keys)
    assert found is not None
    return found.number


def test_a_backup_comes_back_with_everything_in_it(filled: Installation) -> None:
    file = saved(filled)
    assert events(filled)[-1] == "database_saved"
    assert file.stat().st_mode & 0o077 == 0
    answer = restored(filled, file, accept_loss=True)
    assert (answer.number, answer.lost) == (5, 1)
    assert events(filled) == ["score_given"] * 5 + ["database_restored"]
    assert anchored(filled) == 6


@on_sqlite_alone
def test_a_backup_is_of_one_moment_while_the_service_writes(filled: Installation) -> None:
    """Each transaction writes a score and an entry: in every backup there are as many of both."""
    stop = threading.Event()

    def serve() -> None:
        database = filled.database()
        audit = filled.audit(database)
        number = 100
        while not stop.is_set():
            number += 1
            with audit.recorded() as work:
                row = score_row(filled.keys, number)
                work.connection.execute(insert(tables.SCORES), [row])
                work.record(Entry(event=Event.SCORE_GIVEN, caller=None, patient=CANARY))
        database.close()

    service = threading.Thread(target=serve)
    service.start()
    try:
        files = [saved(filled, f"backup-{number}") for number in range(4)]
    finally:
        stop.set()
        service.join()
    for file in files:
        database = Database(f"sqlite:///{file}")
        with database.reading() as connection:
            scores = connection.execute(select(func.count()).select_from(tables.SCORES))
            given = [row.event for row in audit_entries.entries(connection)].count("score_given")
            assert scores.scalar_one() - 12 == given - 5
        database.close()


def test_a_backup_never_overwrites_and_leaves_no_half_of_one(filled: Installation) -> None:
    file = saved(filled)
    content = file.read_bytes()
    with pytest.raises(DatabaseError, match="never overwritten"):
        saved(filled)
    assert file.read_bytes() == content
    assert list(filled.folder.glob(".*unfinished*")) == []


def test_a_backup_that_cannot_be_entered_is_removed(
    filled: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise AuditError("no space")

    monkeypatch.setattr("service.audit.ledger.write_anchor", full)
    with pytest.raises(AuditError):
        saved(filled)
    assert not (filled.folder / "backup").exists()


@on_sqlite_alone
def test_entries_that_the_anchor_vouches_for_are_not_lost_by_the_way(
    filled: Installation,
) -> None:
    file = saved(filled)
    more(filled, 3)
    before = events(filled)
    with pytest.raises(AuditError, match="lacks the last 4 of"):
        restored(filled, file)
    assert events(filled) == before
    assert anchored(filled) == len(before)
    assert list(filled.folder.glob(".*restoring*")) == []


@on_sqlite_alone
def test_an_accepted_loss_is_entered_and_the_old_anchor_is_kept(filled: Installation) -> None:
    file = saved(filled)
    more(filled, 3)
    before = filled.anchor.read_bytes()
    answer = restored(filled, file, accept_loss=True)
    assert (answer.number, answer.lost) == (5, 4)
    database_aside, evidence = (Path(name) for name in answer.aside)
    assert evidence.read_bytes() == before
    assert evidence.stat().st_mode & 0o077 == 0
    assert events(filled)[-1] == "database_restored"
    more(filled, 1)
    assert anchored(filled) == 7
    with sqlite3.connect(database_aside) as old:
        assert old.execute("SELECT count(*) FROM audit_entries").fetchone() == (9,)
    old.close()


@on_sqlite_alone
def test_without_loss_nothing_has_to_be_accepted(filled: Installation, tmp_path: Path) -> None:
    """The machine is lost; backup, keys and an anchor that is older than the backup are left."""
    anchor = filled.anchor.read_bytes()
    file = shutil.copy(saved(filled), tmp_path / "backup")
    for lost in filled.folder.glob("readmit.db*"):
        lost.unlink()
    filled.anchor.write_bytes(anchor)
    assert restored(filled, file).lost == 0
    assert events(filled) == ["score_given"] * 5 + ["database_restored"]


@on_sqlite_alone
def test_a_database_in_use_is_left_alone(filled: Installation) -> None:
    file = saved(filled)
    service = filled.database()
    with service.reading() as connection:
        connection.execute(select(func.count()).select_from(tables.SCORES))
    # Idle, but connected.
    with pytest.raises(DatabaseError, match="in use"):
        restored(filled, file, accept_loss=True)
    service.close()
    restored(filled, file, accept_loss=True)


@pytest.mark.parametrize(
    "change",
    [
        {"details": "{}"},
        {"patient_index": "f" * 64},
        {"previous": "0" * 64},
        {"number": 40},
    ],
)
@on_sqlite_alone
def test_a_backup_whose_audit_was_changed_does_not_take_the_place(
    filled: Installation, change: dict[str, object]
) -> None:
    file = saved(filled)
    database = Database(f"sqlite:///{file}")
    with database.writing() as connection:
        edited = update(tables.AUDIT_ENTRIES).where(tables.AUDIT_ENTRIES.c.number == 3)
        connection.execute(edited.values(**change))
    database.close()
    before = events(filled)
    with pytest.raises(AuditError, match="not whole"):
        restored(filled, file, accept_loss=True)
    assert events(filled) == before


@on_sqlite_alone
def test_a_backup_of_another_history_needs_a_word(
    filled: Installation, installation: Installation, tmp_path: Path
) -> None:
    other = Installation(tmp_path / "other")
    other.folder.mkdir()
    shutil.copy(filled.key_file, other.key_file)
    database = other.database()
    upgrade(database)
    fill(other, database)
    database.close()
    more(other, 5)
    with pytest.raises(AuditError, match="another history"):
        restored(filled, saved(other))
    assert restored(filled, other.folder / "backup", accept_loss=True).lost is None


@pytest.mark.parametrize("content", [b"", b"not a database " * 400])
@on_sqlite_alone
def test_what_is_no_backup_does_not_take_the_place(filled: Installation, content: bytes) -> None:
    file = filled.folder / "backup"
    file.write_bytes(content)
    before = events(filled)
    with pytest.raises(DatabaseError):
        restored(filled, file, accept_loss=True)
    assert events(filled) == before


@on_sqlite_alone
def test_a_backup_from_before_a_rotation_needs_the_keys_of_that_time(
    filled: Installation,
) -> None:
    file = saved(filled)
    database = filled.database()
    rotated = rotate(filled.key_file, database, filled.anchor, under_way_seconds=0)
    database.close()
    with pytest.raises(KeysError, match="keys that are not there"):
        restored(filled, file, accept_loss=True)
    assert rotated.aside is not None
    shutil.copy(rotated.aside, filled.key_file)
    restored(filled, file, accept_loss=True)


@on_sqlite_alone
def test_an_encrypted_database_has_encrypted_backups(installation: Installation) -> None:
    pytest.importorskip("sqlcipher3")
    database = installation.database("canary")
    upgrade(database)
    fill(installation, database)
    database.close()
    file = saved(installation, password="canary")
    assert b"SQLite format 3" not in file.read_bytes()
    restored(installation, file, "canary", accept_loss=True)
    assert events(installation, "canary")[-1] == "database_restored"


@on_sqlite_alone  # beside which it has a database of its own
def test_postgresql_is_saved_by_its_own_tool_and_restored_into_an_empty_database(
    installation: Installation, postgresql_url: str
) -> None:
    """A new database is saved, emptied, and restored."""
    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not installed")
    database = Database(postgresql_url)
    upgrade(database)
    fill(installation, database)
    audit = installation.audit(database)
    file = Path(save(audit, installation.folder / "backup").file)
    with pytest.raises(DatabaseError, match="not empty"):
        restore(database, installation.keys, installation.anchor, file)
    with database.writing() as connection:
        tables.METADATA.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    answer = restore(database, installation.keys, installation.anchor, file, accept_loss=True)
    assert (answer.number, answer.lost) == (5, 1)
    rotate(installation.key_file, database, installation.anchor, under_way_seconds=0)
    with database.reading() as connection:
        last = [row.event for row in audit_entries.entries(connection)][-2:]
    assert last == ["database_restored", "keys_rotated"]
    database.close()
