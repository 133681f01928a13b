"""A simulated hospital, made once by the commands themselves: records, store, model, scores."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Finished(NamedTuple):
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


class Hospital(NamedTuple):
    """A folder with a simulated export and what the commands made of it."""

    folder: Path

    @property
    def records(self) -> Path:
        return self.folder / "records"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def mlruns(self) -> Path:
        return self.folder / "mlruns"

    def finished(self, command: str) -> Finished:
        """What a command wrote with ``--json`` when the hospital was made."""
        return Finished(*json.loads((self.folder / f"{command}.json").read_text()))

    def answer(self, command: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.finished(command).out)
        return answer


def _in_a_process(folder: Path, arguments: list[str]) -> Finished:
    """A process of its own: what a C library writes to standard output would be seen, too."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("READMIT_")}
    program = [sys.executable, "-m", "service", *arguments]
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return Finished(done.returncode, done.stdout, done.stderr)


COMMANDS = (
    "simulate records --patients 250 --seed 3",
    "ingest records --store store",
    "cohort --store store",
    "coverage --store store --out reports/coverage.json",
    "train --store store --mlruns mlruns --bootstrap 100",
    "score --store store --mlruns mlruns --out tables/scores.csv",
)


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """Simulated, ingested, trained on and scored; once for all workers, who wait for the first."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = Hospital(shared / "simulated-hospital")
    made.folder.mkdir(exist_ok=True)
    with (made.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for line in COMMANDS:
            arguments = [*line.split(), "--json"]
            noted = made.folder / f"{arguments[0]}.json"
            if not noted.exists():
                noted.write_text(json.dumps(_in_a_process(made.folder, arguments)))
    return made


@pytest.fixture
def readmit(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """The command in this process, with its standard output, standard error and exit code."""
    from service.cli import main

    for name in [name for name in os.environ if name.startswith("READMIT_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["readmit", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return Finished(code, *capfd.readouterr())

    return run
