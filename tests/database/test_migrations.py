"""The tables that migrations make are the tables that the code speaks of, on both databases."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from service.database import migrate
from service.database.audit_entries import START, head
from service.database.engine import Database, DatabaseError
from service.database.tables import METADATA


def test_migrations_make_the_tables_that_the_code_declares(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_comparison_would_see_a_column_that_no_migration_makes(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE scores DROP COLUMN band"))
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA)


def test_a_database_without_tables_says_how_to_make_them(database_url: str) -> None:
    database = Database(database_url)
    assert migrate.version(database) is None
    with pytest.raises(DatabaseError, match=r"version none.*readmit database upgrade"):
        migrate.check(database)
    migrate.upgrade(database)
    migrate.check(database)
    database.close()


def test_upgrading_what_is_new_changes_nothing(database: Database) -> None:
    migrate.upgrade(database)
    assert migrate.version(database) == migrate.newest()


def test_a_migration_that_fails_leaves_nothing_behind(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_url)

    whole = migrate.command.upgrade

    def fail_at_the_end(*arguments: Any) -> None:
        whole(*arguments)
        raise RuntimeError("interrupted")

    monkeypatch.setattr(migrate.command, "upgrade", fail_at_the_end)
    with pytest.raises(RuntimeError, match="interrupted"):
        migrate.upgrade(database)
    monkeypatch.undo()
    assert migrate.version(database) is None
    migrate.upgrade(database)
    migrate.check(database)
    database.close()


def _upgrade(url: str, begin: Callable[[], object]) -> None:
    database = Database(url)
    begin()
    migrate.upgrade(database)
    database.close()


@pytest.mark.slow
def test_processes_that_upgrade_at_once_make_the_tables_once(database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(4)
    processes = [context.Process(target=_upgrade, args=(database_url, gate.wait)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    database = Database(database_url)
    migrate.check(database)
    with database.reading() as connection:
        assert head(connection) == (0, START)
    database.close()
