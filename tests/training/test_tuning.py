"""The search for settings never ends worse than it began, and a kill does not change its end."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from training.fit import FitSettings
from training.split import split_stays
from training.tuning import STARTUP_TRIALS, search_settings

TRIALS = STARTUP_TRIALS + 3
"""Enough that TPE has had its say, which rests on the trials before."""


@pytest.fixture(scope="module")
def undisturbed(make_study, tmp_path_factory):
    data = make_study(160, noise=0).ordered()
    folder = tmp_path_factory.mktemp("search")
    told: list[tuple[int, int]] = []
    found = search_settings(
        folder,
        data,
        split_stays(data, seed=3),
        FitSettings(),
        TRIALS,
        seed=3,
        progress=lambda done, whole: told.append((done, whole)),
    )
    assert told == [(number, TRIALS) for number in range(TRIALS + 1)]
    return data, folder, found


def test_the_search_starts_from_the_settings_given_and_never_ends_worse(undisturbed):
    _, _, (settings, search) = undisturbed
    first, best = search.trials[0], search.trials[search.best]
    assert first.settings["eta"] == FitSettings().eta
    assert first.loss is not None
    assert best.loss <= first.loss
    assert best.loss == min(t.loss for t in search.trials if t.state == "complete")
    assert settings.eta == best.settings["eta"]
    assert len(search.trials) == TRIALS


def test_a_finished_search_is_read_and_not_made_again(undisturbed):
    data, folder, found = undisturbed
    split = split_stays(data, seed=3)
    assert search_settings(folder, data, split, FitSettings(), TRIALS, seed=3) == found


def test_settings_that_fall_behind_are_given_up(undisturbed):
    _, _, (_, search) = undisturbed
    assert {trial.state for trial in search.trials} <= {"complete", "pruned"}
    assert all(
        trial.loss is None or trial.state == "pruned" or trial.loss > 0 for trial in search.trials
    )


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import simulated_study
from training import tuning
from training.fit import FitSettings
from training.split import split_stays

data = simulated_study(160, noise=0).ordered()
real, calls = tuning.out_of_fold_loss, 0

def dying(*arguments, **named):
    global calls
    calls += 1
    if calls == {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)

tuning.out_of_fold_loss = dying
tuning.search_settings(
    Path({folder!r}), data, split_stays(data, seed=3), FitSettings(), {trials}, seed=3
)
"""


@pytest.mark.parametrize("when", [1, STARTUP_TRIALS + 2])
def test_a_search_killed_and_taken_up_again_ends_as_if_nothing_had_happened(
    when, undisturbed, tmp_path
):
    data, _, found = undisturbed
    code = _KILLED.format(
        tests=str(Path(__file__).parent), folder=str(tmp_path), trials=TRIALS, when=when
    )
    root = str(Path(__file__).parents[2])
    killed = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": root},
        cwd=root,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    split = split_stays(data, seed=3)
    assert search_settings(tmp_path, data, split, FitSettings(), TRIALS, seed=3) == found


def test_two_searches_at_once_end_as_one(make_study, tmp_path):
    """Else the second would take the first one's trial for that of a process that is gone."""
    data = make_study(160, noise=0).ordered()
    split = split_stays(data, seed=3)

    def search(folder: Path):
        return search_settings(folder, data, split, FitSettings(), 3, seed=3)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(search, [tmp_path / "shared"] * 2))
    assert found[0] == found[1] == search(tmp_path / "alone")


def test_other_stays_have_a_search_of_their_own(undisturbed, make_study, tmp_path):
    _, _, (_, search) = undisturbed
    data = make_study(150, noise=0, seed=9).ordered()
    other = search_settings(tmp_path, data, split_stays(data, seed=3), FitSettings(), 1, seed=3)[1]
    assert other.trials[0].loss != search.trials[0].loss
