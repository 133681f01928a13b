"""What the command shows a person: progress on long work, and results as tables.

All of it goes to standard error or is left out with ``--json``, so that a script finds one JSON
object on standard output and nothing else.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

STEP_SECONDS = 5.0
"""Where there is no terminal: seconds between two lines about the same work."""

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

errors = Console(stderr=True, highlight=False)
"""Progress and errors."""

results = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
"""Results for people."""


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Report]:
    """Progress of long work: a bar on a terminal, plain lines elsewhere, nothing if quiet."""
    if quiet:
        yield _say_nothing
    elif errors.is_terminal:
        with _bars() as bars:
            yield _BarReport(bars)
    else:
        yield _LineReport()


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
    )


def _say_nothing(what: str, done: int, whole: int) -> None:
    """Take a report and leave it at that."""


class Phases:
    """Tells of work whose length is not known: a phase is done when the next one begins."""

    def __init__(self, report: Report, work: str) -> None:
        self._report = report
        self._work = work
        self._present: str | None = None

    def __call__(self, phase: str) -> None:
        """The next phase begins."""
        self.done()
        self._present = f"{self._work}: {phase}"
        self._report(self._present, 0, 1)

    def done(self) -> None:
        """The last phase is over."""
        if self._present is not None:
            self._report(self._present, 1, 1)


class _BarReport:
    """One bar for each piece of work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, whole: int) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._bars.add_task(what, total=whole)
        self._bars.update(task, completed=done, total=whole)


class _LineReport:
    """A line when work begins, every few seconds, and when it is done."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def __call__(self, what: str, done: int, whole: int) -> None:
        now = time.monotonic()
        if done < whole and now - self._said.get(what, -STEP_SECONDS) < STEP_SECONDS:
            return
        self._said[what] = now
        if whole > 1:
            errors.print(f"{what}: {done:,} of {whole:,}", markup=False, soft_wrap=True)
        elif done < whole:
            errors.print(what, markup=False, soft_wrap=True)
