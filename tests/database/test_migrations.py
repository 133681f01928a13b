"""The tables that migrations make are the tables that the code speaks of, on both databases."""

import multiprocessing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service.database import migrate
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
