"""Bringing the database to the version that this code needs (Alembic)."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select

from service.database.engine import Database, DatabaseError

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_ONE_AT_A_TIME: Final = 0x7265_6164_6D69_7400
"""The advisory lock of migrations on a server ("readmit" in ASCII): any number nobody else uses."""


def configuration() -> Config:
    """Alembic's settings: all of them here, so that no file lies about."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def newest() -> str:
    """The version that this code needs."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None  # noqa: S101  the folder of migrations is part of this package
    return head


def version(database: Database) -> str | None:
    """The version that the database is at; None where nothing was made yet."""
    with database.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database, to: str = "head") -> None:
    """Make the tables, or change them to a newer version: all of it, or nothing.

    Several processes may do so at once: the second waits for the first, and finds it done.

    Raises:
        DatabaseError: if the database cannot be reached or written.
    """
    if database.file is not None:
        database.file.parent.mkdir(parents=True, exist_ok=True)
    config = configuration()
    with database.writing() as connection:
        if not database.is_sqlite:  # there, each writing transaction has the file to itself
            connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def upgrade_known(database: Database) -> None:
    """Bring a database that was restored to the version that this code needs.

    Raises:
        DatabaseError: if it is at a version that this code does not know, or at none.
    """
    known = {
        script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
    }
    found = version(database)
    if found not in known:
        raise DatabaseError("the backup is not one of this service, or of a newer version of it")
    if found != newest():
        upgrade(database)


def check(database: Database) -> None:
    """See to it that the database is at the version that this code needs.

    Raises:
        DatabaseError: if it is at another one.
    """
    found = version(database)
    if found != newest():
        raise DatabaseError(
            f"the database is at version {found or 'none'}, this code needs {newest()}; "
            "run `readmit database upgrade`"
        )
