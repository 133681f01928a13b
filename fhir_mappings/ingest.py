"""An export into the store: streaming, never stopped by a bad line, and counted from end to end."""

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from fhir_mappings.chunks import MappedChunk, Reject, TypeCounts, map_chunks
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.files import Piece, export_files, pieces
from fhir_mappings.settling import settle_table
from fhir_mappings.store import StoreWriter

REJECTS = "rejects.csv"
"""The file in the store's folder that lists what an ingest could not use."""

RULES = "1"
"""The version of the settling rules; with another one the whole store is settled anew."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Progress = Callable[[str, int, int], None]
"""Told of each file: its name, bytes done and bytes in all."""


class IngestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What an ingest read and left in the store."""

    resources: int
    """Resources read in this run, rejected ones not counted."""
    events: int
    """Events in the store after it."""
    patients: int
    """Patients in the store after it."""
    rejected: int
    seconds: float
    by_type: dict[str, TypeCounts]
    files: int
    replaced: int
    """Resources of which a later version took the place of an earlier one."""
    withdrawn: int
    """Resources that are remembered as not having happened."""
    questionable: dict[str, int]
    """Values read and not used, by element and reason."""
    rejects_file: str | None
    """Where the rejected lines are listed; None where there are none."""


def ingest(
    sources: Sequence[Path],
    store: Path,
    profile: SiteProfile,
    *,
    shards: int | None = None,
    progress: Progress | None = None,
) -> IngestSummary:
    """Read exports into the store, updating what is there already.

    Args:
        sources: files or directories of FHIR R4 NDJSON and Bundles, gzipped or not.
        store: the folder of the store, made where it is absent.
        profile: how the site codes.
        shards: how many shards a new store gets.
        progress: called as files are read.

    Raises:
        NotFHIRError: if a source does not exist or holds no file of FHIR.
        StoreError: if the folder is not a store, or is being written by another process.

    """
    began = time.perf_counter()
    files = [file for source in sources for file in export_files(source)]
    with StoreWriter(store, shards) as writer, _Rejects(store / REJECTS) as rejects:
        tally = _Tally()
        for mapped in map_chunks(_pieces(files, progress), profile):
            writer.add_table(mapped.rows, mapped.turns)
            for drug in mapped.medications:
                writer.medication(*drug)
            writer.describe(mapped.displays)
            for reject in mapped.rejects:
                rejects.add(reject)
            tally.add(mapped)
        details = {
            "profile": profile.name,
            "by_type": msgspec.to_builtins(tally.by_type),
            "questionable": tally.listed(),
            "rejected": rejects.count,
        }
        written = writer.finish(
            lambda table: settle_table(table, profile),
            details,
            rules=f"{RULES}:{profile.name}:{profile.coding}",
        )
    return IngestSummary(
        resources=sum(counts.resources for counts in tally.by_type.values()),
        events=written.events,
        patients=written.patients,
        rejected=rejects.count,
        seconds=time.perf_counter() - began,
        by_type=dict(sorted(tally.by_type.items())),
        files=len(files),
        replaced=written.resources_replaced,
        withdrawn=written.tombstones,
        questionable=tally.listed(),
        rejects_file=str(rejects.path) if rejects.count else None,
    )


class _Tally:
    """Counts over all chunks."""

    def __init__(self) -> None:
        self.by_type: dict[str, TypeCounts] = {}
        self._questionable: Counter[tuple[str, str]] = Counter()

    def add(self, mapped: MappedChunk) -> None:
        for name, counts in mapped.by_type.items():
            self.by_type.setdefault(name, TypeCounts()).add(counts)
        self._questionable.update(mapped.questionable)

    def listed(self) -> dict[str, int]:
        """Counts by element and reason, the most frequent first."""
        return {
            f"{element}: {reason}": n for (element, reason), n in self._questionable.most_common()
        }


def _pieces(files: Sequence[Path], progress: Progress | None) -> Iterator[Piece]:
    """The pieces of every file; progress is told as each file is through."""
    sizes = [file.stat().st_size for file in files]
    done, whole = 0, sum(sizes)
    for file, size in zip(files, sizes, strict=True):
        yield from pieces(file)
        done += size
        if progress is not None:
            progress(file.name, done, whole)


class _Rejects:
    """The list of what could not be used; written beside the store, replaced by each ingest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def __enter__(self) -> Self:
        # A file's name need not be text: what is not is written with a backslash.
        self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(("file", "line", "element", "reason"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, reject: Reject) -> None:
        """One line of the list; ``csv`` quotes what a file name may hold.

        A name that a spreadsheet would take for a formula gets an apostrophe before it.
        """
        self.count += 1
        file = "'" + reject.file if reject.file.startswith(_FORMULA) else reject.file
        self._writer.writerow((file, reject.line, reject.element, reject.reason))
