"""A kill -9 at any step: whoever comes next ends where an undisturbed run would have ended."""

import json
import os
import subprocess
import sys
from pathlib import Path

import killed
import pytest
from promotion_runs import recorded

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

ROOT = Path(__file__).parents[3]


def after_kills(operation, run, mlruns, scratch, first, stride):
    """What an undisturbed run leaves, and what is left where one was killed and another came."""
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'fixtures'}"
    done = subprocess.run(
        [sys.executable, killed.__file__, operation, run.folder, mlruns, scratch, first, stride],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    undisturbed, *others = json.loads(done.stdout)
    for one in (undisturbed, *others):
        one.pop("steps")
    undisturbed.pop("noted before")
    return undisturbed, others


def check(undisturbed, others, steps, noted):
    assert undisturbed["running"] == 0
    assert len(others) >= steps
    for other in others:
        step = other.pop("killed before")
        assert other.pop("noted before") in noted, step
        assert other == undisturbed, step


@pytest.mark.parametrize(
    ("first", "stride", "steps"),
    [(5, 4, 3), pytest.param(0, 1, 15, marks=pytest.mark.slow)],
    ids=["some steps", "every step"],
)
def test_a_training_that_is_killed_and_repeated_leaves_one_version_and_one_champion(
    mlruns, make_run, tmp_path, first, stride, steps
):
    undisturbed, others = after_kills(
        "register", make_run(), mlruns, tmp_path / "scratch", str(first), str(stride)
    )
    assert undisturbed["record"] == [["first", "1"]]
    assert [version for version, *_ in undisturbed["versions"]] == ["1"]
    check(undisturbed, others, steps, noted={None, "1"})


@pytest.mark.parametrize(
    ("first", "stride", "steps"),
    [(1, 2, 2), pytest.param(0, 1, 5, marks=pytest.mark.slow)],
    ids=["some steps", "every step"],
)
def test_a_promotion_that_is_killed_and_repeated_leaves_one_champion(
    mlruns, make_run, tmp_path, first, stride, steps
):
    recorded(mlruns, make_run())
    run = make_run(name="2")
    recorded(mlruns, run, number="2")
    undisturbed, others = after_kills(
        "promote", run, mlruns, tmp_path / "scratch", str(first), str(stride)
    )
    for one in (undisturbed, *others):
        # Where the decision was on record before the kill, it is there twice: it was made twice.
        assert one["record"][:2] == [["first", "1"], ["promote", "2"]]
        assert set(map(tuple, one.pop("record")[1:])) == {("promote", "2")}
    check(undisturbed, others, steps, noted={"1", "2"})
