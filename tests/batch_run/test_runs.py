"""Runs: begun, taken up again, done twice, kept apart, and killed at any moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import ward as ward_module
from each_database import copy_database, database_in
from records import lab, patient
from ward import NOW, Ward, full_ward, made_ward, stay

from service.audit.verify import verify
from service.batch_run import run as run_module
from service.batch_run.run import RunInProgressError
from service.database import scoring_runs
from service.database.run_lock import run_lock

pytestmark = pytest.mark.usefixtures("each_database")

Made = Callable[..., Ward]


class KilledError(Exception):
    """In the place of the end of a process."""


def copied(ward: Ward, folder: Path) -> Ward:
    """The same ward once more, with keys and model alike, and a database of its own."""
    shutil.copytree(ward.folder, folder, symlinks=True)
    copy_database(ward.folder, folder)
    return Ward(folder, database_in(folder))


def test_the_same_run_again_changes_nothing(ward_of: Made) -> None:
    ward = ward_of(*full_ward())
    first = ward.run(40)
    before = ward.dump()
    again = ward.run(40, now=NOW + timedelta(hours=1))
    assert ward.dump() == before
    assert (again.nothing_to_do, again.run) == (True, first.run)
    assert (again.scored, again.not_scored) == (first.scored, first.not_scored)


def test_only_patients_with_new_events_are_computed_again(ward_of: Made) -> None:
    ward = ward_of(*full_ward())
    ward.run(40)
    inside = sum(row.discharged_at is None for row in ward.rows().values())
    kept = {who: row.score_id for who, row in ward.rows().items()}
    ward.record(lab("new", 16, 119, who="patient-01"))
    summary = ward.run(40.5)
    assert summary.scored == inside + 1, "who is in hospital is scored as of each moment"
    assert summary.unchanged == 30 - inside - 1
    changed = {who for who, row in ward.rows().items() if row.score_id != kept[who]}
    assert changed - {"patient-01"} == {f"patient-{number:02d}" for number in range(0, 30, 5)}
    assert len(ward.given()) == 30 + summary.scored


def test_another_model_computes_everybody_again(ward_of: Made) -> None:
    ward = ward_of(*full_ward())
    ward.run(40)
    model = ward.model
    model.fingerprint = "another"
    assert ward.run(40, model=model).scored == 30


def test_what_is_in_the_database_does_not_hang_on_chunks_or_processes(
    ward_of: Made, tmp_path: Path
) -> None:
    """Two processes, started anew, score what one does; the chunk is part of a run's identity."""
    ward = ward_of(*full_ward())
    with ward.keeping():
        pass
    other = copied(ward, tmp_path / "other")
    ward.run(40, at_once=4)
    other.run(40, at_once=4, processes=2)
    assert other.dump() == ward.dump()


def test_a_run_that_broke_off_is_taken_up_where_it_was(
    ward_of: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = ward_of(*full_ward())
    with ward.keeping():
        pass
    undisturbed = copied(ward, tmp_path / "undisturbed")
    undisturbed.run(40, at_once=4)

    commit, done = run_module._commit, []

    def breaking(*arguments: object, **named: object) -> None:
        if len(done) == 3:
            raise KilledError
        done.append(None)
        commit(*arguments, **named)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(run_module, "_commit", breaking)
    with pytest.raises(KilledError):
        ward.run(40, at_once=4)
    left = ward.unfinished()
    assert left is not None
    assert left.reached == 3
    monkeypatch.undo()
    summary = ward.run(40, at_once=4, as_of=None, now=NOW + timedelta(hours=2))
    assert summary.taken_up
    assert ward.dump() == undisturbed.dump()


def test_a_run_of_yesterday_is_not_taken_up(ward_of: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    ward = ward_of(*full_ward())
    monkeypatch.setattr(run_module, "_close", broken)
    with pytest.raises(KilledError):
        ward.run(40)
    monkeypatch.undo()
    summary = ward.run(41, as_of=None, now=NOW + timedelta(days=1))
    assert not summary.taken_up
    assert ward.unfinished() is None


def broken(*_: object) -> None:
    raise KilledError


def test_records_that_came_in_between_begin_a_new_run(
    ward_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = ward_of(*full_ward())
    monkeypatch.setattr(run_module, "_close", broken)
    with pytest.raises(KilledError):
        ward.run(40)
    monkeypatch.undo()
    ward.record(patient("late"), *stay("late-1", "late", 20, 30))
    assert not ward.run(40).taken_up
    assert "late" in ward.listed()


def test_two_runs_do_not_work_at_once(ward_of: Made) -> None:
    ward = ward_of(*full_ward())
    with ward.keeping() as keeping, run_lock(keeping.database) as held:
        assert held
        with pytest.raises(RunInProgressError) as refused:
            ward.run(40)
        assert ward.rows() == {}
    assert refused.value.exit_code == 11
    assert ward.run(40).scored == 30


def test_a_run_whose_place_was_taken_stops_and_leaves_nothing_half(
    ward_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the lock had been lost on the way: the run's own progress is the fence."""
    ward = ward_of(*full_ward())
    advance = scoring_runs.advance

    def taken(*arguments: object, **named: object) -> bool:
        named["reached"] = int(str(named["reached"])) + 7
        return advance(*arguments, **named)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(scoring_runs, "advance", taken)
    with pytest.raises(RunInProgressError):
        ward.run(40)
    assert (ward.rows(), ward.given()) == ({}, [])


def test_scores_and_audit_are_kept_together_or_not_at_all(
    ward_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = ward_of(*full_ward())
    monkeypatch.setattr(run_module.work_list, "put", broken)
    with pytest.raises(KilledError):
        ward.run(40)
    assert (ward.rows(), ward.given(), ward.scores_of("patient-01")) == ({}, [], [])


def test_the_audit_of_a_run_is_whole(ward_of: Made) -> None:
    ward = ward_of(*full_ward())
    ward.run(40, at_once=7)
    with ward.keeping() as keeping:
        verified = verify(keeping.database, keeping.keys, keeping.audit.anchor)
    assert verified.finding is None
    assert len(ward.given()) == 30
    assert {json.loads(details)["status"] for _, details in ward.given()} == {"scored"}


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    said: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


def attempt(ward: Ward, seconds: float | None) -> Ended:
    """Run in a process of its own, killed so many seconds after its work began."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, ward_module.__file__, str(ward.folder), ward.database_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("go\n")
        child.stdin.flush()
        if seconds is not None:
            time.sleep(seconds)
            child.send_signal(signal.SIGKILL)
        said = child.stdout.read()
        return Ended(child.wait(), said)


def killed_and_taken_up(tmp_path: Path, kills: int, seed: int) -> None:
    """Kill processes at random moments of their work, and compare what is there at the end."""
    ward = made_ward(tmp_path / "ward", database_in(tmp_path / "ward"), *full_ward())
    with ward.keeping():
        pass
    undisturbed = copied(ward, tmp_path / "undisturbed")
    ended = attempt(undisturbed, None)
    assert ended.code == 0
    longest = json.loads(ended.said)["seconds"]
    wanted = undisturbed.dump()
    moments, killed, number = random.Random(seed), 0, 0
    while killed < kills:
        each = copied(ward, tmp_path / f"killed-{number}")
        number += 1
        assert number < 10 * kills, "the processes end before they can be killed"
        # A process that is killed may take up what another left, and be killed as well.
        while killed < kills and attempt(each, moments.uniform(0, longest)).was_killed:
            killed += 1
        # A server may hold a dead client's lock until it has noticed; then the run is refused.
        while attempt(each, None).code != 0:
            time.sleep(0.2)
        assert each.dump() == wanted
        with each.keeping() as keeping:
            verified = verify(keeping.database, keeping.keys, keeping.audit.anchor)
        assert verified.finding is None


def test_killed_at_a_random_moment_the_resumed_run_leaves_what_an_undisturbed_one_does(
    tmp_path: Path,
) -> None:
    killed_and_taken_up(tmp_path, kills=1, seed=random.SystemRandom().randrange(10**6))


@pytest.mark.slow
def test_killed_at_fifty_random_moments_the_resumed_runs_leave_what_an_undisturbed_one_does(
    tmp_path: Path,
) -> None:
    killed_and_taken_up(tmp_path, kills=50, seed=50)
