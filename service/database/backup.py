"""A whole copy of the database in one file, and back: SQLite by itself, PostgreSQL by its tools."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import inspect
from sqlalchemy.engine import URL

from service.database.engine import Database, DatabaseError

TOOL_SECONDS: Final = 6 * 3_600
"""A dump that takes longer than six hours hangs."""


def save(database: Database, file: Path) -> None:
    """Write a copy as of one moment, while others read and write; whole or not at all.

    SQLite's copy is itself a database (``VACUUM INTO``): without what was deleted, and encrypted
    with the same password where the database is. PostgreSQL's is a custom-format dump.

    Raises:
        DatabaseError: if the file exists, the database cannot be read, or the tool is absent.
        OSError: if the file cannot be written.
    """
    if file.exists():
        raise DatabaseError(f"{file} is there already; a backup is never overwritten")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.unfinished")
    # Made before anything is in it, for its owner alone.
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        if database.is_sqlite:
            with database.outside_transactions() as cursor:
                cursor.execute("VACUUM INTO ?", (str(unfinished),))
        else:
            _tool(database, "pg_dump", "--format=custom", "--no-owner", "--file", str(unfinished))
        sync(unfinished)
        # A link fails where the name is taken meanwhile.
        try:
            os.link(unfinished, file)
        except FileExistsError:
            raise DatabaseError(f"{file} is there already") from None
    finally:
        unfinished.unlink()
    sync(file.parent)


@contextmanager
def copied_beside(database: Database, file: Path) -> Iterator[Database]:
    """A backup of SQLite as a database of its own, beside the one whose place it shall take.

    It goes at the end of the block, unless ``take_place`` has moved it.

    Raises:
        OSError: if it cannot be copied.
        DatabaseError: if it is no database, or does not open with the password.
    """
    place = _place(database)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.restoring")
    _remove(beside)
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    copy = database.at(beside)
    try:
        shutil.copyfile(file, beside)
        yield copy
    finally:
        copy.close()
        _remove(beside)


@contextmanager
def left_alone(database: Database) -> Iterator[None]:
    """See to it that nobody has the SQLite file open, as far as SQLite can tell.

    Leaving the write-ahead log's mode takes the file for oneself, and fails while anybody else,
    busy or not, is connected. What the log held is in the file afterwards.

    Raises:
        DatabaseError: if somebody is connected, or the file is no database.
    """
    if _place(database).exists():
        try:
            with database.outside_transactions() as cursor:
                cursor.execute("PRAGMA busy_timeout = 0")
                cursor.execute("PRAGMA journal_mode = DELETE")
        except DatabaseError:
            raise DatabaseError(
                "the database is in use, or damaged: stop the service, and move a damaged file away"
            ) from None
        finally:
            database.close()
    yield


def take_place(copy: Database, database: Database, aside: Path) -> None:
    """Let a copy take the database's place at once; what was there lies ``aside`` afterwards.

    Raises:
        OSError: if a file cannot be moved.
    """
    place, beside = _place(database), _place(copy)
    with copy.outside_transactions() as cursor:
        cursor.execute("PRAGMA journal_mode = DELETE")
    copy.close()
    sync(beside)
    with suppress(FileNotFoundError):
        os.link(place, aside)
    beside.replace(place)
    sync(place.parent)


def is_empty(database: Database) -> bool:
    """Whether a server's database has no table yet."""
    with database.reading() as connection:
        return not inspect(connection).get_table_names()


def load_dump(database: Database, file: Path) -> None:
    """Restore a dump of PostgreSQL into an empty database, whole or not at all.

    Raises:
        DatabaseError: if the dump cannot be restored, or the tool is absent.
    """
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    _tool(database, "pg_restore", *options, str(file))


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _place(database: Database) -> Path:
    if database.file is None:
        raise DatabaseError("the database is not a file")
    return database.file


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _tool(database: Database, name: str, *options: str) -> None:
    """Run one of PostgreSQL's tools; the password goes by the environment, which others can't see.

    What the tool says is left out: it quotes names and values.
    """
    found = shutil.which(name)
    if found is None:
        raise DatabaseError(f"{name} is not on the path; install PostgreSQL's client tools")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("READMIT_")}
    password = database.password
    if password is not None:
        environment["PGPASSWORD"] = password
    try:
        done = subprocess.run(
            [found, "--no-password", f"--dbname={_name(database.url)}", *options],
            env=environment,
            capture_output=True,
            timeout=TOOL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DatabaseError(f"{name} did not end within {TOOL_SECONDS // 3_600} hours") from None
    if done.returncode:
        raise DatabaseError(f"{name} failed with the exit code {done.returncode}")


def _name(url: URL) -> str:
    """How PostgreSQL's tools name a database: the URL without the driver and the password."""
    query: dict[str, Any] = {k: v for k, v in url.query.items() if k != "password"}
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return plain.render_as_string(hide_password=False)
