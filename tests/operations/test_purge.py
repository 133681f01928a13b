"""Keeping no longer than the policy says, and saying so."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from each_database import on_sqlite_alone
from installation import Installation, fill
from sqlalchemy import func, select

from fhir_mappings.records.instants import from_datetime
from service.audit.anchor import AuditError
from service.database import audit_entries, retention, tables
from service.database.engine import Database
from service.database.migrate import upgrade
from service.retention import Policy, purge

NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = Policy(scores_days=365, broken_glass_days=2_192, follow_ups_days=365)
TABLES = (
    tables.SCORES,
    tables.BROKEN_GLASS,
    tables.SESSIONS,
    tables.SIGN_INS,
    tables.SEEN_TOKENS,
)


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def database(installation: Installation) -> Iterator[Database]:
    database = installation.database()
    upgrade(database)
    yield database
    database.close()


def counts(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in TABLES
        }


def filled_before(installation: Installation, database: Database, age: timedelta) -> None:
    fill(installation, database, until=from_datetime(NOW - age))


def entered(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        details = [
            json.loads(row.details)
            for row in audit_entries.entries(connection)
            if row.event == "purged"
        ]
    return {one["what"]: one["count"] for one in details}


def test_what_is_over_goes_and_what_is_kept_for_years_stays(
    installation: Installation, database: Database
) -> None:
    filled_before(installation, database, timedelta(days=30))
    purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    assert counts(database) == {
        "scores": 12,
        "broken_glass": 1,
        "sessions": 0,
        "sign_ins": 0,
        "seen_tokens": 0,
    }
    assert entered(database) == {"sessions": 1, "sign_ins": 1, "seen_tokens": 1}


def test_scores_go_after_their_days_and_broken_glass_after_its_own(
    installation: Installation, database: Database
) -> None:
    filled_before(installation, database, timedelta(days=366))
    purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    assert counts(database)["scores"] == 0
    assert entered(database)["shown_cards"] == entered(database)["card_feedback"] == 1
    assert counts(database)["broken_glass"] == 1
    later = NOW + timedelta(days=2_192)
    purge(installation.audit(database), installation.folder, POLICY, now=later)
    assert counts(database)["broken_glass"] == 0


def test_a_token_that_was_just_used_is_not_forgotten_by_a_clock_that_is_ahead(
    installation: Installation, database: Database
) -> None:
    filled_before(installation, database, timedelta(minutes=30))
    purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    assert counts(database)["seen_tokens"] == 1


def test_the_audit_of_what_was_done_stays_whatever_its_age(
    installation: Installation, database: Database
) -> None:
    filled_before(installation, database, timedelta(days=9_000))
    purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    with database.reading() as connection:
        events = [row.event for row in audit_entries.entries(connection)]
    assert events[:5] == ["score_given"] * 5
    assert tables.AUDIT_ENTRIES not in [
        kept.moment.table for kept in (retention.SCORES, retention.BROKEN_GLASS, *retention.OVER)
    ]


def test_a_dry_run_says_the_same_and_deletes_nothing(
    installation: Installation, database: Database
) -> None:
    filled_before(installation, database, timedelta(days=9_000))
    before = counts(database)
    audit = installation.audit(database)
    said = purge(audit, installation.folder, POLICY, now=NOW, dry_run=True)
    assert counts(database) == before
    assert entered(database) == {}
    assert purge(audit, installation.folder, POLICY, now=NOW) == said


def test_a_purge_that_cannot_be_entered_deletes_nothing(
    installation: Installation, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_before(installation, database, timedelta(days=9_000))
    part = batch_part(installation.folder, "20200101T000000-000000000000.parquet")

    def full(*_: object) -> None:
        raise AuditError("no space")

    monkeypatch.setattr("service.audit.ledger.audit_entries.append", full)
    with pytest.raises(AuditError):
        purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    assert counts(database)["scores"] == 12
    assert part.exists()


def test_with_nothing_to_delete_there_is_nothing_to_enter(
    installation: Installation, database: Database
) -> None:
    purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    assert entered(database) == {}


def batch_part(store: Path, name: str) -> Path:
    folder = store / "scores"
    folder.mkdir(exist_ok=True)
    part = folder / name
    part.write_bytes(b"canary")
    return part


def test_files_of_old_batches_go_with_what_killed_ones_left(
    installation: Installation, database: Database
) -> None:
    store = installation.folder
    old = batch_part(store, "20250531T235959-0123456789ab.parquet")
    new = batch_part(store, "20250601T000000-0123456789ab.parquet")
    left = batch_part(store, ".20240101T000000-0123456789ab.parquet.unfinished")
    running = batch_part(store, ".20240102T000000-0123456789ab.parquet.unfinished")
    foreign = batch_part(store, "notes.parquet")
    for path, days in ((left, 400), (running, 1)):
        written = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (written, written))
    purge(installation.audit(database), store, POLICY, now=NOW)
    assert [path.exists() for path in (old, new, left, running, foreign)] == [
        False,
        True,
        False,
        True,
        True,
    ]
    assert entered(database) == {"score_ledger": 2}


@on_sqlite_alone
def test_no_bytes_of_what_was_deleted_are_left_in_the_files(
    installation: Installation, database: Database
) -> None:
    filled_before(installation, database, timedelta(days=9_000))
    files = [installation.folder / name for name in ("readmit.db", "readmit.db-wal")]
    assert any(b"score-11" in file.read_bytes() for file in files)
    purge(installation.audit(database), installation.folder, POLICY, now=NOW)
    # The audit names the first five by their ids, for good.
    assert not any(b"score-11" in file.read_bytes() for file in files)
