"""However many write at once, and whatever dies meanwhile: one chain, and nothing lost."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service.audit import ledger
from service.audit.anchor import read_anchor
from service.audit.ledger import Audit, Entry
from service.audit.verify import verify
from service.audit.vocabulary import Event
from service.database import audit_entries
from service.database.engine import Database
from service.protection.keys import Keys

PROCESSES = 4
THREADS = 250
"""Each writes one entry: a thousand writers."""


def entry(detail: str) -> Entry:
    return Entry(event=Event.RECORDS_EXPORTED, caller=None, details={"method": detail})


def details(audit: Audit) -> list[str]:
    with audit.database.reading() as connection:
        return [row.details for row in audit_entries.entries(connection)]


def _write(
    url: str, keys: Keys, anchor: Path, process: int, together: Callable[[], object]
) -> None:
    database = Database(url)
    audit = Audit(database, keys, anchor)
    failures: list[BaseException] = []
    gate = threading.Barrier(THREADS)

    def write(thread: int) -> None:
        gate.wait()
        try:
            audit.record(entry(f"{process}-{thread}"))
        except BaseException as error:
            failures.append(error)
            raise

    together()
    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    os._exit(1 if failures else 0)


@pytest.mark.slow
def test_a_thousand_writers_lose_nothing_and_leave_one_chain(
    audit: Audit, database_url: str
) -> None:
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(PROCESSES)
    processes = [
        context.Process(
            target=_write, args=(database_url, audit.keys, audit.anchor, number, gate.wait)
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    written = details(audit)
    expected = {
        f'{{"method":"{process}-{thread}"}}'
        for process in range(PROCESSES)
        for thread in range(THREADS)
    }
    assert len(written) == PROCESSES * THREADS
    assert set(written) == expected
    seen = verify(audit.database, audit.keys, audit.anchor)
    assert seen.finding is None
    assert seen.anchored == PROCESSES * THREADS


def test_an_entry_is_undone_with_the_work_that_it_records(audit: Audit) -> None:
    def fail() -> None:
        with audit.recorded() as work:
            work.record(entry("never"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert details(audit) == []


def test_work_that_records_nothing_is_undone(audit: Audit) -> None:
    with pytest.raises(ValueError, match="without an entry"), audit.recorded():
        pass


def test_what_an_event_does_not_have_cannot_be_entered(audit: Audit) -> None:
    with pytest.raises(ValueError, match="does not have"):
        audit.record(Entry(event=Event.SIGNED_OUT, caller=None, details={"why": "x"}))
    with pytest.raises(ValueError, match="about no patient"):
        audit.record(Entry(event=Event.SCORE_READ, caller=None))


def _die_before_anchoring(url: str, keys: Keys, anchor: Path) -> None:
    ledger.write_anchor = lambda *_: os._exit(7)  # type: ignore[assignment]  # the process dies here
    Audit(Database(url), keys, anchor).record(entry("committed"))


def test_a_crash_between_commit_and_anchor_is_no_alarm_and_loses_nothing(
    audit: Audit, database_url: str
) -> None:
    audit.record(entry("first"))
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=_die_before_anchoring, args=(database_url, audit.keys, audit.anchor)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 7
    seen = verify(audit.database, audit.keys, audit.anchor)
    assert (seen.finding, seen.entries, seen.anchored, seen.after_anchor) == (None, 2, 1, 1)
    audit.record(entry("third"))
    anchor = read_anchor(audit.anchor, audit.keys)
    assert anchor is not None
    assert anchor.number == 3
    assert verify(audit.database, audit.keys, audit.anchor).finding is None
