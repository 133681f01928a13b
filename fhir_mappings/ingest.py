"""An export into the store: streaming, never stopped by a bad line, and counted from end to end."""

import csv
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from fhir_mappings.formulary import REFERENCE
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.reading import map_record
from fhir_mappings.records.bundles import is_bundle, unbundle
from fhir_mappings.records.decoding import PassedOver, Rejected, decode
from fhir_mappings.records.files import Piece, export_files, pieces
from fhir_mappings.records.resources import Medication
from fhir_mappings.settling import settle_table
from fhir_mappings.sources.medication import medication_codes
from fhir_mappings.sources.reading import Reading
from fhir_mappings.store import StoreWriter

REJECTS = "rejects.csv"
"""The file in the store's folder that lists what an ingest could not use."""

RULES = "1"
"""The version of the settling rules; with another one the whole store is settled anew."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Progress = Callable[[str, int, int], None]
"""Told of each file: its name, bytes done and bytes in all."""


class TypeCounts(msgspec.Struct):
    """What became of the resources of one type."""

    resources: int = 0
    mapped: int = 0
    """Left at least one event (a Medication: at least one code)."""
    without_events: int = 0
    """Did not happen, was entered in error, or says nothing that has a code."""
    passed_over: int = 0
    """Of a type that no feature reads."""


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
    whole = sum(file.stat().st_size for file in files)
    with StoreWriter(store, shards) as writer, _Rejects(store / REJECTS) as rejects:
        run = _Run(profile, writer, rejects)
        done = 0
        for file in files:
            for piece in pieces(file):
                run.take(piece)
            done += file.stat().st_size
            if progress is not None:
                progress(file.name, done, whole)
        details = {
            "profile": profile.name,
            "by_type": msgspec.to_builtins(run.by_type),
            "questionable": run.questionable(),
            "rejected": rejects.count,
        }
        writer.describe(run.displays())
        written = writer.finish(
            lambda table: settle_table(table, profile),
            details,
            rules=f"{RULES}:{profile.name}:{profile.coding}",
        )
    return IngestSummary(
        resources=sum(counts.resources for counts in run.by_type.values()),
        events=written.events,
        patients=written.patients,
        rejected=rejects.count,
        seconds=time.perf_counter() - began,
        by_type=dict(sorted(run.by_type.items())),
        files=len(files),
        replaced=written.resources_replaced,
        withdrawn=written.tombstones,
        questionable=run.questionable(),
        rejects_file=str(rejects.path) if rejects.count else None,
    )


class _Run:
    """One ingest under way."""

    def __init__(self, profile: SiteProfile, writer: StoreWriter, rejects: "_Rejects") -> None:
        self.by_type: dict[str, TypeCounts] = {}
        self._profile = profile
        self._writer = writer
        self._rejects = rejects
        self._lines = Reading(profile)
        self._displays: dict[str, str] = {}
        self._questionable: Counter[tuple[str, str]] = Counter()

    def take(self, piece: Piece) -> None:
        """A line or document: a resource, a Bundle of them, or a reject."""
        if piece.fault is not None:
            self._rejects.add(piece, piece.fault)
            return
        if not is_bundle(piece.raw):
            self._record(decode(piece.raw), piece, self._lines)
            return
        unbundled = unbundle(piece.raw)
        if isinstance(unbundled, Rejected):
            self._rejects.add(piece, unbundled)
            return
        reading = Reading(self._profile, unbundled.ids)
        for record in unbundled.records:
            self._record(record, piece, reading)
        self._questionable += reading.questionable
        self._displays |= reading.coder.displays

    def questionable(self) -> dict[str, int]:
        """Counts by element and reason, the most frequent first."""
        counts = self._questionable + self._lines.questionable
        return {f"{element}: {reason}": n for (element, reason), n in counts.most_common()}

    def displays(self) -> dict[str, str]:
        """What the records name their codes."""
        return self._displays | self._lines.coder.displays

    def _record(
        self, record: msgspec.Struct | PassedOver | Rejected, piece: Piece, reading: Reading
    ) -> None:
        if isinstance(record, Rejected):
            self._rejects.add(piece, record)
        elif isinstance(record, PassedOver):
            counts = self._counts(record.resource_type)
            counts.resources += 1
            counts.passed_over += 1
        elif isinstance(record, Medication):
            codes = medication_codes(record, reading)
            self._writer.medication(REFERENCE + record.id, codes, reading.updated(record.meta))
            self._count("Medication", bool(codes))
        elif not record.id:  # type: ignore[attr-defined]  # every resource has one
            fault = Rejected(f"{type(record).__name__}.id", "missing")
            self._rejects.add(piece, fault)
        else:
            self._map(record, piece, reading)

    def _map(self, record: msgspec.Struct, piece: Piece, reading: Reading) -> None:
        mapped = map_record(record, reading)
        name = type(record).__name__
        if mapped is None:
            self._rejects.add(piece, Rejected(f"{name}.subject", "missing or not a reference"))
            return
        self._writer.add(mapped.subject, mapped.source, mapped.updated, mapped.events)
        self._count(name, bool(mapped.events))

    def _counts(self, name: str) -> TypeCounts:
        counts = self.by_type.get(name)
        if counts is None:
            counts = self.by_type[name] = TypeCounts()
        return counts

    def _count(self, name: str, mapped: bool) -> None:
        counts = self._counts(name)
        counts.resources += 1
        if mapped:
            counts.mapped += 1
        else:
            counts.without_events += 1


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

    def add(self, piece: Piece, rejected: Rejected) -> None:
        """One line of the list; ``csv`` quotes what a file name may hold.

        A name that a spreadsheet would take for a formula gets an apostrophe before it.
        """
        self.count += 1
        file = "'" + piece.file if piece.file.startswith(_FORMULA) else piece.file
        self._writer.writerow((file, piece.line, rejected.element, rejected.reason))
