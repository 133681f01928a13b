"""Lines of NDJSON in the order of their pseudonyms, in bounded memory.

An export lists patients by name or record number as often as not, and a Synthea export names its
files by them. Kept in that order, the first pseudonym would be the first of the alphabet.
"""

import gzip
import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, cast

RUN_BYTES: Final = 16_000_000
"""How much of one file is sorted at a time."""


class SortedLines:
    """One file of lines that begin alike: with the type, and an id of one length.

    Lines of the same id keep their order, so that of two versions the later remains the later.

    Args:
        folder: where runs are kept until the file is finished.
        name: what the lines are, and the name of the file.
        begins: how many bytes of a line tell its place.
        run_bytes: how much is held in memory.
    """

    def __init__(self, folder: Path, name: str, begins: int, run_bytes: int = RUN_BYTES) -> None:
        self._folder, self._name = folder, name
        self._begins = begins
        self._run_bytes = run_bytes
        self._held: list[bytes] = []
        self._bytes = 0
        self._runs: list[Path] = []

    def add(self, line: bytes) -> None:
        """One line, without its end."""
        self._held.append(line + b"\n")
        self._bytes += len(line)
        if self._bytes >= self._run_bytes:
            self._keep_run()

    def finish(self, *, zipped: bool) -> None:
        """Write the file, ``<name>.ndjson`` or ``<name>.ndjson.gz``, and delete the runs."""
        file = self._folder / f"{self._name}.ndjson{'.gz' if zipped else ''}"
        with ExitStack() as stack:
            out: BinaryIO = stack.enter_context(file.open("wb"))
            if zipped:
                # Neither a name nor a time in the header.
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0)
                out = cast(BinaryIO, stack.enter_context(packed))
            runs: list[Iterator[bytes]] = [
                stack.enter_context(run.open("rb")) for run in self._runs
            ]
            self._held.sort(key=self._place)
            out.writelines(heapq.merge(*runs, iter(self._held), key=self._place))
        for run in self._runs:
            run.unlink()

    def _keep_run(self) -> None:
        run = self._folder / f".{self._name}.{len(self._runs)}"
        with run.open("wb") as file:
            self._held.sort(key=self._place)
            file.writelines(self._held)
        self._runs.append(run)
        self._held, self._bytes = [], 0

    def _place(self, line: bytes) -> bytes:
        return line[: self._begins]
