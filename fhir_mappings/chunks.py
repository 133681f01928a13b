"""Lines of an export into rows of the store, a chunk at a time.

A chunk is decoded and mapped without regard to any other. Chunks were mapped side by side in
processes once: on two cores the way there and back cost more than it gained, so they are not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.collector import without_collector
from fhir_mappings.formulary import REFERENCE
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.reading import map_record, refusal_left
from fhir_mappings.records.bundles import unbundle
from fhir_mappings.records.codes import Coder
from fhir_mappings.records.decoding import PassedOver, Rejected, decode, unread
from fhir_mappings.records.files import Piece
from fhir_mappings.records.resources import Medication, Record, patient_element
from fhir_mappings.sources.medication import medication_codes
from fhir_mappings.sources.reading import Reading
from fhir_mappings.store import Rows

CHUNK_BYTES = 4_000_000
"""How much of an export goes into a chunk, unless a single line or document is larger."""


class TypeCounts(msgspec.Struct):
    """What became of the resources of one type."""

    resources: int = 0
    mapped: int = 0
    """Left at least one event (a Medication: at least one code)."""
    without_events: int = 0
    """Did not happen, was entered in error, or says nothing that has a code."""
    passed_over: int = 0
    """Of a type that no feature reads."""

    def add(self, other: "TypeCounts") -> None:
        """Count the other's resources as well."""
        self.resources += other.resources
        self.mapped += other.mapped
        self.without_events += other.without_events
        self.passed_over += other.passed_over


class Reject(NamedTuple):
    """What could not be used, and where it stands; nothing of its content."""

    file: str
    line: int
    element: str
    reason: str


class Drug(NamedTuple):
    """One version of a Medication."""

    source: str
    codes: tuple[str, ...]
    updated: int


class MappedChunk(NamedTuple):
    """What a chunk became."""

    rows: pa.Table
    """As ``store.Rows`` makes it."""
    turns: int
    medications: list[Drug]
    by_type: dict[str, TypeCounts]
    rejects: list[Reject]
    questionable: Counter[tuple[str, str]]
    displays: dict[str, str]
    """What the records name the codes of this chunk."""


def map_chunks(pieces: Iterable[Piece], profile: SiteProfile) -> Iterator[MappedChunk]:
    """Decode and map every piece, a chunk of about ``CHUNK_BYTES`` at a time.

    A bad piece becomes a reject. A line is mapped as soon as it is read, while it is still near
    the processor.
    """
    waiting = iter(pieces)
    # One for this export alone: what another export names a code must not be told of this one.
    coder = Coder(profile.systems)
    while True:
        mapping = _Mapping(profile, coder)
        with without_collector():
            more = mapping.fill(waiting)
            mapped = mapping.mapped()
            # Let go of the events while the collector stands still: it would walk them all first.
            del mapping
        yield mapped
        if not more:
            return


class _Mapping:
    """A chunk under way."""

    def __init__(self, profile: SiteProfile, coder: Coder) -> None:
        self._profile = profile
        self._rows = Rows()
        self._medications: list[Drug] = []
        self._by_type: dict[str, TypeCounts] = {}
        self._rejects: list[Reject] = []
        self._lines = Reading(profile, coder=coder)
        self._questionable = self._lines.questionable

    def mapped(self) -> MappedChunk:
        table = self._rows.table()
        codes = {*pc.unique(table.column("code")).to_pylist()}
        codes.update(code for drug in self._medications for code in drug.codes)
        known = self._lines.coder.displays
        return MappedChunk(
            rows=table,
            turns=self._rows.turns,
            medications=self._medications,
            by_type=self._by_type,
            rejects=self._rejects,
            questionable=self._questionable,
            displays={code: known[code] for code in codes if code in known},
        )

    def fill(self, pieces: Iterator[Piece]) -> bool:
        """Take pieces until the chunk is full; False where there are no more."""
        size = 0
        for piece in pieces:
            self.take(piece)
            size += len(piece.raw)
            if size >= CHUNK_BYTES:
                return True
        return False

    def take(self, piece: Piece) -> None:
        """A line or document: a resource, a Bundle of them, or a reject."""
        if piece.fault is not None:
            self._reject(piece, piece.fault)
            return
        record = decode(piece.raw)
        if type(record) is PassedOver and record.resource_type == "Bundle":
            self._bundle(piece)
        else:
            self._record(record, piece, self._lines)

    def _bundle(self, piece: Piece) -> None:
        unbundled = unbundle(piece.raw)
        if isinstance(unbundled, Rejected):
            self._reject(piece, unbundled)
            return
        reading = Reading(self._profile, unbundled.ids, self._lines.coder)
        for record in unbundled.records:
            self._record(record, piece, reading)
        self._questionable.update(reading.questionable)

    def _record(
        self, record: Record | PassedOver | Rejected, piece: Piece, reading: Reading
    ) -> None:
        if isinstance(record, PassedOver):
            counts = self._counts(record.resource_type)
            counts.resources += 1
            counts.passed_over += 1
            return
        fault = record if isinstance(record, Rejected) else self._add(record, reading)
        if fault is not None:
            self._reject(piece, fault)
            # Its refusal stays, where it can be told whose it is.
            if fault.consent is not None and (left := refusal_left(fault.consent, reading)):
                self._rows.add(*left)

    def _add(self, record: Record, reading: Reading) -> Rejected | None:
        """Take the events of a record, or say why it has no place."""
        name = type(record).__name__
        if not record.id:
            return Rejected(f"{name}.id", "missing", unread(record))
        if isinstance(record, Medication):
            codes = medication_codes(record, reading)
            drug = Drug(REFERENCE + record.id, codes, reading.updated(record.meta))
            self._medications.append(drug)
            some = bool(codes)
        else:
            mapped = map_record(record, reading)
            if mapped is None:
                return Rejected(f"{name}.{patient_element(name)}", "missing or not a reference")
            self._rows.add(*mapped)
            some = bool(mapped.events)
        counts = self._counts(name)
        counts.resources += 1
        if some:
            counts.mapped += 1
        else:
            counts.without_events += 1
        return None

    def _reject(self, piece: Piece, rejected: Rejected) -> None:
        self._rejects.append(Reject(piece.file, piece.line, rejected.element, rejected.reason))

    def _counts(self, name: str) -> TypeCounts:
        counts = self._by_type.get(name)
        if counts is None:
            counts = self._by_type[name] = TypeCounts()
        return counts
