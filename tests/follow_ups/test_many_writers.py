"""Many people on one list at once: nothing is lost, conflicts are told, versions have no gap."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from worked_list import ISSUER, MANAGER, WorkedList, person, worked_list

from service.audit.verify import verify
from service.database import tables
from service.database.engine import Database
from service.database.migrate import upgrade
from service.follow_ups import keep
from service.follow_ups.follow_up import Change, FollowUp, FollowUpChangeError, changed
from service.follow_ups.keep import ConflictError
from service.follow_ups.statuses import CLOSING, REOPENING, Status
from service.identity.caller import Caller
from service.identity.roles import Role
from service.protection.keys import new_keys, write_keys

WRITERS = 50
STAYS = 5
PATIENTS = tuple(f"example-{number}" for number in range(STAYS))


def attempted(
    worked: WorkedList, stay: str, seen: int, caller: Caller = MANAGER, **wanted: Any
) -> FollowUp | ConflictError:
    """What the follow-up is after the change, or what its writer is told instead."""
    try:
        return worked.change(stay, seen, caller, **wanted)
    except ConflictError as told:
        return told


class Writers:
    """People who each write one note on a stay of the list, again and again until it is in."""

    def __init__(
        self, worked: WorkedList, stays: list[str], together: Callable[[], object]
    ) -> None:
        self.worked = worked
        self.stays = stays
        self.together = together
        self.conflicts: Counter[str] = Counter()
        self.failures: list[BaseException] = []

    def write(self, number: int) -> None:
        stay = self.stays[number % len(self.stays)]
        caller = person(Role.CARE_MANAGER, subject=f"writer-{number}")
        seen = 0
        self.together()
        try:
            while True:
                answer = attempted(self.worked, stay, seen, caller, note=f"note of writer {number}")
                if isinstance(answer, FollowUp):
                    return
                assert answer.present.version > seen
                seen = answer.present.version
                self.conflicts[stay] += 1
        except BaseException as error:
            self.failures.append(error)
            raise

    def run(self, numbers: range) -> None:
        threads = [threading.Thread(target=self.write, args=(number,)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)


def all_is_there(worked: WorkedList, stays: list[str], writers: int) -> None:
    for place, stay in enumerate(stays):
        told = worked.history(stay)
        expected = {f"note of writer {number}" for number in range(place, writers, len(stays))}
        assert {change.note for change in told} == expected
        assert [change.version for change in told] == list(range(1, len(expected) + 1))
        assert all(
            change.by == f"{ISSUER}|writer-{str(change.note).rsplit(' ', 1)[1]}" for change in told
        )
        assert worked.read(stay).version == len(expected)
        assert [change.at for change in told] == sorted(change.at for change in told)
    keeping = worked.keeping
    assert verify(keeping.database, keeping.keys, keeping.audit.anchor).finding is None


def test_fifty_people_write_on_one_list_and_every_note_is_there(worked: WorkedList) -> None:
    stays = [worked.stay(patient) for patient in PATIENTS]
    gate = threading.Barrier(WRITERS)
    writers = Writers(worked, stays, gate.wait)
    writers.run(range(WRITERS))
    assert writers.failures == []
    conflicts = Counter(
        event for event, _, details in worked.entered() if details.get("what") == "conflict"
    )
    assert conflicts["follow_up_read"] == writers.conflicts.total()
    # All begin with nothing seen: of each stay all but the first are told so at least once.
    assert all(writers.conflicts[stay] >= WRITERS // STAYS - 1 for stay in stays)
    all_is_there(worked, stays, WRITERS)


def test_of_two_on_one_version_exactly_one_wins(worked: WorkedList) -> None:
    stay = worked.stay()
    gate = threading.Barrier(2)
    answers: list[FollowUp | ConflictError] = []

    def write(status: Status) -> None:
        gate.wait()
        answers.append(attempted(worked, stay, 0, status=status))

    both = [
        threading.Thread(target=write, args=(status,))
        for status in (Status.CONTACTED, Status.DECLINED)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    (won,) = [one for one in answers if isinstance(one, FollowUp)]
    (lost,) = [one for one in answers if isinstance(one, ConflictError)]
    assert lost.present == won == worked.read(stay)
    assert lost.wanted.status is not won.status


def test_who_is_overtaken_between_looking_and_writing_is_told_by_the_database(
    worked: WorkedList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unique version decides where two have both read the same one in their transactions."""
    stay = worked.stay()
    first = worked.change(stay, 0, status=Status.CONTACTED)
    read = keep.follow_ups.of_stay
    answers: Iterator[Any] = iter(["stale"])
    monkeypatch.setattr(
        keep.follow_ups,
        "of_stay",
        lambda connection, of: None if next(answers, None) else read(connection, of),
    )
    with pytest.raises(ConflictError) as told:
        worked.change(stay, 0, status=Status.DECLINED, note="Too late.")
    assert told.value.present == first
    assert worked.read(stay) == first
    assert len(worked.history(stay)) == 1


def _write_in_a_process(
    url: str, folder: Path, stays: list[str], numbers: range, together: Callable[[], object]
) -> None:
    worked = worked_list(url, folder)
    gate = threading.Barrier(len(numbers))
    together()
    writers = Writers(worked, stays, gate.wait)
    writers.run(numbers)
    worked.keeping.close()
    if writers.failures:
        raise SystemExit(1)


@pytest.mark.slow
def test_two_processes_with_fifty_writers_lose_nothing_either(
    worked: WorkedList, database_url: str, tmp_path: Path
) -> None:
    stays = [worked.stay(patient) for patient in PATIENTS]
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(2)
    half = WRITERS // 2
    processes = [
        context.Process(
            target=_write_in_a_process,
            args=(database_url, tmp_path, stays, numbers, gate.wait),
        )
        for numbers in (range(half), range(half, WRITERS))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    all_is_there(worked, stays, WRITERS)


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkedList]:
    """One list for many examples, on SQLite: what holds is arithmetic, not the database's."""
    folder = tmp_path_factory.mktemp("emptied")
    write_keys(folder / "keys", new_keys())
    url = f"sqlite:///{folder / 'readmit.db'}"
    database = Database(url)
    upgrade(database)
    database.close()
    opened = worked_list(url, folder)
    opened.stay()
    yield opened
    opened.keeping.close()


PEOPLE = st.one_of(st.none(), st.sampled_from([f"{ISSUER}|m.example", f"{ISSUER}|n.example"]))
CHANGES = st.builds(
    Change,
    status=st.sampled_from(Status),
    assigned_to=PEOPLE,
    due_on=st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2026, 12, 31))),
    reason=st.one_of(st.none(), st.sampled_from(sorted(CLOSING | REOPENING))),
    note=st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=20)),
)
STEPS = st.lists(st.tuples(st.integers(0, 2), CHANGES), max_size=12)
"""Who of three changes what. Each saw the follow-up when they last changed it, or were told."""


@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_whoever_comes_when_the_history_replays_to_what_it_is_now(
    emptied: WorkedList, steps: list[tuple[int, Change]]
) -> None:
    with emptied.keeping.database.writing() as connection:
        for table in (tables.FOLLOW_UPS, tables.FOLLOW_UP_CHANGES):
            connection.execute(delete(table))
        (stay,) = connection.execute(tables.WORK_LIST.select()).mappings().all()
    name = stay["stay_index"]
    seen = [0, 0, 0]
    taken: list[tuple[int, Change]] = []
    for who, change in steps:
        caller = person(Role.CARE_MANAGER, subject=f"writer-{who}")
        wanted = {field: getattr(change, field) for field in change.__struct_fields__}
        try:
            answer = attempted(emptied, name, seen[who], caller, **wanted)
        except FollowUpChangeError:
            continue
        if isinstance(answer, ConflictError):
            assert seen[who] != len(taken)
            assert answer.wanted == change
            seen[who] = answer.present.version
        else:
            taken.append((who, change))
            seen[who] = answer.version
        assert seen[who] == len(taken)
    replayed = FollowUp(stay=name, patient="example-1")
    told_of = emptied.history(name)
    assert len(told_of) == len(taken)
    for number, ((who, change), kept) in enumerate(zip(taken, told_of, strict=True), 1):
        replayed = changed(replayed, change)
        assert (kept.version, kept.by) == (number, f"{ISSUER}|writer-{who}")
        assert (kept.status, kept.assigned_to, kept.due_on) == (
            replayed.status,
            replayed.assigned_to,
            replayed.due_on,
        )
        assert (kept.reason, kept.note) == (change.reason, change.note)
    present = emptied.read(name, MANAGER)
    assert (present.version, present.status, present.assigned_to, present.due_on) == (
        len(taken),
        replayed.status,
        replayed.assigned_to,
        replayed.due_on,
    )
