"""Connections and transactions, the same for SQLite and PostgreSQL."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from fhir_mappings.errors import ReadmitError

BUSY_SECONDS: Final = 30
"""How long a writer waits for another one before the database counts as away."""

CONNECT_SECONDS: Final = 5
"""How long a server may take to answer at all. A machine that is switched off answers nothing."""

SUPPORTED: Final = ("sqlite", "postgresql")


class DatabaseError(ReadmitError):
    """The database is away, full, locked for too long, or at another version than this code."""

    exit_code = 8
    status = 503
    title = "Database"


def database_url(text: str) -> URL:
    """Read a database URL; PostgreSQL goes by psycopg 3.

    Raises:
        DatabaseError: if it is none, or of another kind of database. It is not quoted: it may hold
            a password.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise DatabaseError("the database's URL is not one") from None
    if url.get_backend_name() not in SUPPORTED:
        raise DatabaseError("the database must be SQLite or PostgreSQL")
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url


class Database:
    """A database that is connected to when it is first used."""

    def __init__(self, url: str, password: str | None = None) -> None:
        self.url = database_url(url)
        self._password = password
        self._engine = _engine(self.url, password)
        # SQLite takes one writer at a time. Waiting here is fair and cheap; its own waiting is a
        # poll, in which some of many writers starve.
        self._one_writer = threading.Lock() if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of ours rather than a server."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """Where an SQLite database lies; None for a server, and for one in memory."""
        if not self.is_sqlite or not self.url.database or self.url.database == ":memory:":
            return None
        return Path(self.url.database)

    @property
    def password(self) -> str | None:
        """What opens the database, if anything does; for its own tools alone."""
        if self._password is not None:
            return self._password
        in_query = self.url.query.get("password")
        return self.url.password or (in_query if isinstance(in_query, str) else None)

    def at(self, file: Path) -> "Database":
        """Another SQLite file that opens with the same password."""
        return Database(f"sqlite:///{file}", self._password)

    @property
    def engine(self) -> Engine:
        """For migrations alone."""
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries.

        Raises:
            DatabaseError: if the database cannot be reached or read.
        """
        with _named_errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, on_disk: bool = True) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, undone if it raises.

        Args:
            on_disk: wait until it is on the disk, so that no power failure takes it back. Without,
                every process sees it at once, and it reaches the disk with the next one that waits:
                both databases write one log, in order (SQLite, "Write-Ahead Logging"; PostgreSQL,
                "Asynchronous Commit"). It is for what means nothing without a later transaction.

        Raises:
            DatabaseError: if the database cannot be reached or written.
        """
        if self._one_writer is None:
            with _named_errors(), self._engine.begin() as connection:
                if not on_disk:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                yield connection
            return
        if not self._one_writer.acquire(timeout=BUSY_SECONDS):
            raise DatabaseError("the database is busy")
        try:
            with _named_errors(), self._engine.connect() as plain:
                how = "FULL" if on_disk else "NORMAL"
                connection = plain.execution_options(readmit_writes=how)
                with connection.begin():
                    yield connection
        finally:
            self._one_writer.release()

    @contextmanager
    def outside_transactions(self) -> Iterator[Any]:
        """The driver's own cursor, for what SQLite does outside of transactions alone.

        Raises:
            DatabaseError: if the database cannot be reached, or refuses.
        """
        with _named_errors():
            connection = self._engine.raw_connection()
            try:
                yield connection.cursor()
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise DatabaseError(f"the database failed: {type(error).__name__}") from None
            finally:
                connection.close()

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn the library's errors into ours, without the statement and the values that they quote."""
    try:
        yield
    except IntegrityError:
        raise  # a question of what is written, answered where it is written
    except DBAPIError as error:
        raise DatabaseError(f"the database failed: {type(error.orig).__name__}") from None
    except SQLAlchemyError as error:
        raise DatabaseError(f"the database failed: {type(error).__name__}") from None


def _engine(url: URL, password: str | None) -> Engine:
    if url.get_backend_name() == "postgresql":
        return _server(url if password is None else url.set(password=password))
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS},
        module=None if password is None else _sqlcipher(),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Transactions are begun by the listener below: the driver would begin them too late, at the
        # first write, where waiting for another writer is refused as a deadlock.
        connection.isolation_level = None
        cursor = connection.cursor()
        if password is not None:
            _unlock(cursor, password)
        _write_ahead(connection, cursor)
        # An audit that a power failure takes back is none: each commit reaches the disk.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("readmit_writes")
        if writes is None:
            connection.exec_driver_sql("BEGIN")
            return
        # Each time: the connection may come from a transaction of the other kind.
        connection.exec_driver_sql(f"PRAGMA synchronous = {writes}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: Any, cursor: Any) -> None:
    """Have readers and the writer not wait for each other (WAL); the file remembers it.

    Where several processes open a new file at once, this is refused at once while another does it:
    SQLite's own waiting does not cover it.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except connection.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _server(url: URL) -> Engine:
    """PostgreSQL. What the operator's URL says goes before what is said here.

    ``pool_pre_ping`` tries a connection before it is used, so that a server that was away is found
    again by the first request after it is back. The rest bounds every wait: for a connection, for
    an answer of a machine that is gone (``tcp_user_timeout``, milliseconds), for another writer
    (``lock_timeout``), and for a writer that hangs with its locks held.
    """
    bounds = {
        "application_name": "readmit",
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": BUSY_SECONDS * 1000,
        "options": f"-c lock_timeout={BUSY_SECONDS}s "
        f"-c idle_in_transaction_session_timeout={2 * BUSY_SECONDS}s",
    }
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=8,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
        connect_args={name: bound for name, bound in bounds.items() if name not in url.query},
    )


def _sqlcipher() -> ModuleType:
    """SQLCipher's driver: it encrypts the whole file and speaks like Python's own ``sqlite3``.

    Raises:
        DatabaseError: if it is not installed.
    """
    try:
        from sqlcipher3 import dbapi2
    except ImportError:
        raise DatabaseError(
            "READMIT_DATABASE_PASSWORD encrypts SQLite with SQLCipher, which is not installed: "
            "install readmit[sqlcipher]"
        ) from None
    module: ModuleType = dbapi2
    return module


def _unlock(cursor: Any, password: str) -> None:
    """Give the password, before anything else is asked of a connection.

    Raises:
        DatabaseError: if the file does not open with it.
    """
    # A PRAGMA takes no parameters: the password is quoted as SQL quotes text.
    quoted = password.replace("'", "''")
    cursor.execute(f"PRAGMA key = '{quoted}'")
    # It would say on standard error that pages do not decrypt; we say it better.
    cursor.execute("PRAGMA cipher_log_level = NONE")
    try:
        cursor.execute("SELECT count(*) FROM sqlite_master")
    except _sqlcipher().DatabaseError:
        raise DatabaseError("the database does not open with this password") from None
