"""Writing an export: one NDJSON file a kind, some of them gzipped, byte for byte reproducible."""

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

import msgspec

from fhir_mappings.errors import StudyError
from training.simulated_hospital.coding import Json
from training.simulated_hospital.records import FILES, Records

_FLUSH_LINES = 2_000


class Export:
    """An export being written to a folder; a context manager.

    Raises ``StudyError`` on entry if the folder already holds other NDJSON files: simulated
    records must never end up among real ones.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes] | gzip.GzipFile] = {}
        self._pending: Records = {name: [] for name in FILES}
        self._encoder = msgspec.json.Encoder()
        self.resources = 0
        """Resources written so far."""

    def __enter__(self) -> Self:
        self._out.mkdir(parents=True, exist_ok=True)
        others = {f.name for f in self._out.glob("*.ndjson*")} - {*FILES}
        if others:
            raise StudyError("the folder for the simulated hospital holds other NDJSON files")
        for name in FILES:
            raw = self._stack.enter_context((self._out / name).open("wb"))
            if name.endswith(".gz"):
                # No name and no time in the gzip header: the same records give the same bytes.
                zipped = gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0)
                self._files[name] = self._stack.enter_context(zipped)
            else:
                self._files[name] = raw
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for name in FILES:
                self._flush(name)
        finally:
            self._stack.close()

    def write(self, records: Records) -> None:
        """Write the records of one life, each to its file."""
        for name, items in records.items():
            self._write(name, items)

    def write_lines(self, name: str, lines: tuple[bytes, ...]) -> None:
        """Write lines as they are, well-formed or not."""
        self._flush(name)
        self._files[name].writelines(lines)

    def _write(self, name: str, items: list[Json]) -> None:
        pending = self._pending[name]
        pending += items
        self.resources += len(items)
        if len(pending) >= _FLUSH_LINES:
            self._flush(name)

    def _flush(self, name: str) -> None:
        pending = self._pending[name]
        if pending:
            self._files[name].write(self._encoder.encode_lines(pending))
            pending.clear()
