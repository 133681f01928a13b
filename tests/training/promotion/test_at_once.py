"""Two people promote at the same moment: one after the other, and both are on record."""

import subprocess
import sys
from pathlib import Path

import pytest
from promotion_runs import recorded

from training import tracking
from training.promotion import history, verify
from training.risk_model import read_champion

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from pathlib import Path
from training.promotion import promote
print("ready", flush=True)
print(promote(Path(sys.argv[1]), sys.argv[2], by=sys.argv[3]).champion)
"""


def test_two_promotions_at_once_leave_one_champion_and_two_entries(mlruns, make_run):
    for number in ("1", "2", "3"):
        recorded(mlruns, make_run(name=number), number=number)
    with tracking.locked(mlruns):
        # Both are at the door before either may pass.
        people = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, mlruns, version, f"Dr {version}"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for version in ("2", "3")
        ]
        for person in people:
            assert person.stdout.readline() == "ready\n"
        assert len(verify(mlruns).entries) == 1
    told = [person.communicate(timeout=100)[0].strip() for person in people]
    assert [person.returncode for person in people] == [0, 0]
    assert told == ["2", "3"]
    entries = verify(mlruns).entries
    assert {(entry.version, entry.by) for entry in entries[1:]} == {("2", "Dr 2"), ("3", "Dr 3")}
    aliased = [one.version for one in tracking.versions(mlruns) if "champion" in one.aliases]
    assert aliased == [read_champion(mlruns).version] == [history(mlruns)[-1].version]
