"""A database that is away, full or busy is said to be so, and found again when it is back."""

import threading

import pytest
from postgresql import Cluster
from sqlalchemy import event, text

from service.database import engine
from service.database.engine import Database, DatabaseError, database_url
from service.database.migrate import upgrade
from service.problems import RETRY_AFTER_SECONDS, answer, problem_of

SECRET = "Wintermute-1987"


@pytest.mark.parametrize(
    "url", [f"no url {SECRET}", f"mysql://root:{SECRET}@127.0.0.1/x", f"oracle://{SECRET}"]
)
def test_a_url_that_is_not_ours_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        database_url(url)
    assert SECRET not in str(refused.value)


def test_an_error_quotes_neither_the_statement_nor_its_values(database: Database) -> None:
    with pytest.raises(DatabaseError) as failed, database.reading() as connection:
        connection.execute(text("SELECT :name FROM no_such_table"), {"name": SECRET})
    assert SECRET not in str(failed.value)
    assert "no_such_table" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_what_raises_is_undone(database: Database) -> None:
    def fail_half_way() -> None:
        with database.writing() as connection:
            connection.execute(text("UPDATE audit_head SET number = 7"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with database.reading() as connection:
        assert connection.execute(text("SELECT number FROM audit_head")).scalar_one() == 0


def test_a_server_that_is_away_is_503_and_found_again_without_a_restart(
    private_postgresql: Cluster,
) -> None:
    cluster = private_postgresql
    database = Database(cluster.url(cluster.create_database()))
    upgrade(database)

    def ask() -> int:
        with database.reading() as connection:
            return int(connection.execute(text("SELECT 1")).scalar_one())

    assert ask() == 1
    cluster.stop()
    with pytest.raises(DatabaseError) as away:
        ask()
    response = answer(problem_of(away.value))
    assert response.status_code == 503
    assert response.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert str(cluster.folder) not in str(away.value)
    cluster.start()
    assert ask() == 1  # the first request after it is back
    database.close()


def test_a_transaction_that_the_server_dropped_is_not_taken_for_done(
    private_postgresql: Cluster,
) -> None:
    cluster = private_postgresql
    database = Database(cluster.url(cluster.create_database()))
    upgrade(database)

    def lose_the_server_half_way() -> None:
        with database.writing() as connection:
            connection.execute(text("UPDATE audit_head SET number = 7"))
            cluster.stop()

    with pytest.raises(DatabaseError):
        lose_the_server_half_way()
    cluster.start()
    with database.reading() as connection:
        assert connection.execute(text("SELECT number FROM audit_head")).scalar_one() == 0
    database.close()


def test_every_wait_for_a_server_is_bounded(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.reading() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "30s"
        shown = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
        assert shown == "1min"
    database.close()


def test_what_the_operators_url_bounds_is_the_operators(postgresql_url: str) -> None:
    database = Database(postgresql_url + "&options=-c%20lock_timeout%3D7s")
    with database.reading() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "7s"
    database.close()


def test_a_writer_that_waits_too_long_is_told_that_the_database_is_busy(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    database = Database(sqlite_url)
    upgrade(database)
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with database.writing():
            holding.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(30)
    with pytest.raises(DatabaseError, match="busy"), database.writing():
        pass
    release.set()
    holder.join()
    with database.writing() as connection:
        connection.execute(text("UPDATE audit_head SET number = 7"))
    database.close()


def test_a_full_database_file_is_503_and_takes_writes_again_when_there_is_room(
    sqlite_url: str,
) -> None:
    database = Database(sqlite_url)
    upgrade(database)
    pages = 0

    @event.listens_for(database.engine, "checkout")
    def limit(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages or 1_000_000}")  # type: ignore[attr-defined]

    def write() -> None:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE large AS SELECT randomblob(1000000) AS content"))

    pages = 1  # less than there are: SQLite takes it as no more than now
    with pytest.raises(DatabaseError):
        write()
    pages = 0
    write()
    database.close()


def test_recovery_takes_no_longer_than_a_caller_is_told_to_wait() -> None:
    assert engine.CONNECT_SECONDS <= RETRY_AFTER_SECONDS


def test_only_what_needs_not_reach_the_disk_at_once_does_not(database: Database) -> None:
    """And the next transaction on the same connection does again."""
    asked = text("PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit")
    found = []
    for on_disk in (True, False, True):
        with database.writing(on_disk=on_disk) as connection:
            found.append(connection.execute(asked).scalar_one())
    waits, not_at_once = (2, 1) if database.is_sqlite else ("on", "off")
    assert found == [waits, not_at_once, waits]


def test_what_was_written_without_waiting_is_seen_at_once(database: Database) -> None:
    with database.writing(on_disk=False) as connection:
        connection.execute(text("UPDATE audit_head SET number = 7"))
    with database.reading() as connection:
        assert connection.execute(text("SELECT number FROM audit_head")).scalar_one() == 7
