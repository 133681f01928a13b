"""One batch run at a time: a lock that ends with the process that holds it, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import func, select

from service.database.engine import Database

_NUMBER: Final = 0x7265_6164_6D69_74
"""Names the lock among all advisory locks of a PostgreSQL database."""


@contextmanager
def run_lock(database: Database) -> Iterator[bool]:
    """Hold the lock for a block; False where somebody else holds it.

    PostgreSQL lets go of it with the connection (an advisory lock of the session), and the system
    lets go of the file beside an SQLite database with the process: nothing needs to be cleared up
    after a kill. A pooler between us and PostgreSQL must not hand one session to several clients
    (PgBouncer: session pooling).

    Raises:
        DatabaseError: if the database cannot be reached.
    """
    if database.is_sqlite:
        with _file_lock(database) as held:
            yield held
        return
    with database.reading() as connection:
        plain = connection.execution_options(isolation_level="AUTOCOMMIT")
        held = bool(plain.execute(select(func.pg_try_advisory_lock(_NUMBER))).scalar())
        try:
            yield held
        finally:
            if held:
                plain.execute(select(func.pg_advisory_unlock(_NUMBER)))


@contextmanager
def _file_lock(database: Database) -> Iterator[bool]:
    if database.file is None:
        yield True  # in memory: nobody else sees it
        return
    with database.file.with_name(f"{database.file.name}.run-lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
