"""Writing: events stream in, and become the store's next generation at once or not at all."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.errors import StoreError
from fhir_mappings.events import Event
from fhir_mappings.store import generations, metadata
from fhir_mappings.store.assembly import Ingest, assemble
from fhir_mappings.store.merging import Settle
from fhir_mappings.store.rows import SPOOL_SCHEMA, Rows
from fhir_mappings.store.spool import Spool

DEFAULT_SHARDS = 16
"""Enough that a shard of a hospital's export fits in memory."""

_BUFFER = 20_000


class WriteSummary(NamedTuple):
    """What an ingest left behind.

    ``events``, ``patients`` and ``tombstones`` (resources withdrawn) count the whole store;
    ``resources_replaced`` counts resources of which this ingest brought together two versions that
    differ in ``updated``. ``seconds`` is the time that ``finish`` took.
    """

    events: int
    patients: int
    resources_replaced: int
    tombstones: int
    seconds: float


class StoreWriter:
    """Adds one ingest to the store at ``store``, creating it where it is absent.

    Use it as a context manager and call ``finish`` last: without it, the store stays as it was.
    Memory is bounded by one shard, but for the formulary (each Medication's codes) and the set of
    distinct codes, which grow with the hospital's vocabulary and not with its patients, and for 8
    bytes (16 while sorting) for each version of a resource that this ingest adds: by them a
    resource corrected to another patient is found (``reassignment``).

    ``shards`` is fixed when a store is created; None takes what it has, or ``DEFAULT_SHARDS``.

    Raises:
        StoreError: On entering: another writer is at work, the folder is something else, or
            ``shards`` is not what the store has.

    """

    previous: metadata.Information | None
    """What the store said of itself before this ingest; None for a new one. Set on entering."""

    def __init__(self, store: Path, shards: int | None = None) -> None:
        if shards is not None and shards < 1:
            raise ValueError("a store has at least one shard")
        self._store = store
        self._asked = shards
        self._rows = Rows()
        self._turn = 0
        self._formulary: metadata.Formulary = {}
        self._changed_medications: set[str] = set()
        self._descriptions: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._lock = generations.acquire(self._store)
        try:
            self._open()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def _open(self) -> None:
        self._present = generations.current(self._store)
        self.previous = metadata.read_information(self._present) if self._present else None
        recorded = self.previous.shards if self.previous else None
        if recorded and self._asked not in (None, recorded):
            raise StoreError(f"the store has {recorded} shards, and their number cannot change")
        self._shards = recorded or self._asked or DEFAULT_SHARDS
        if self._present:
            self._formulary = metadata.read_medications(self._present)
            self._descriptions = metadata.read_descriptions(self._present)
        self._partial = generations.begin(self._store)
        self._spool = Spool(self._partial / "spool", self._shards)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.ExitStack() as leaving:  # last first, each whatever becomes of the others
            leaving.callback(os.close, self._lock)
            leaving.callback(generations.sweep, self._store)
            leaving.callback(self._spool.discard)

    def add(self, subject: str, source: str, updated: int, events: Sequence[Event]) -> None:
        """Add one version of a resource: its events, or none where it did not happen.

        A resource without events (entered in error, say) is remembered as withdrawn, so that an
        older version does not return with a later ingest. Its ``subject`` may be ``""`` where the
        record does not say whose it was; then every shard is asked. Of several versions the one
        with the greatest ``updated`` counts, of equal ones the one added last; where they name
        different patients, only the patient of that version keeps the resource.

        Raises:
            ValueError: The events are not those of this patient, resource and version.

        """
        self._rows.add(subject, source, updated, events)
        if len(self._rows) >= _BUFFER:
            self._flush()

    def add_table(self, table: pa.Table, turns: int) -> None:
        """Add the table of ``Rows`` gathered elsewhere; their turns follow those added before."""
        self._flush()
        position = table.schema.get_field_index("sequence")
        sequence = pc.add(table.column(position), self._turn)
        self._spool.write(table.set_column(position, SPOOL_SCHEMA.field(position), sequence))
        self._turn += turns

    def medication(self, source: str, codes: Sequence[str], updated: int) -> None:
        """Add one version of a Medication; events with the code ``source`` stand for ``codes``.

        It does not matter whether the Medication comes before or after the events. ``codes`` may be
        empty (entered in error, or without coding): such events then keep ``source`` as their code.
        """
        known = self._formulary.get(source)
        if known is not None and known[1] > updated:
            return
        distinct = tuple(dict.fromkeys(codes))
        if known is None or known[0] != distinct:
            self._changed_medications.add(source)
        self._formulary[source] = (distinct, updated)

    def describe(self, descriptions: Mapping[str, str]) -> None:
        """Add what records name their codes; an earlier name of a code is kept."""
        self._descriptions = {**descriptions, **self._descriptions}

    def finish(
        self,
        settle: Settle | None = None,
        information: Mapping[str, Any] | None = None,
        rules: str = "",
    ) -> WriteSummary:
        """Merge what was added with what was there, and make it the store's current state.

        ``settle`` gets a shard's rows (whole patients, in order; the columns of ``ROW_SCHEMA`` and
        ``row``) and returns them with times filled in, rows dropped or both. Columns stay the same.
        It always sees what the records said, never what an earlier ingest settled, and must depend
        on the patient's own rows alone. ``rules`` names the version of those rules: where it
        differs from the last ingest's, every shard is settled anew; otherwise shards that the
        ingest does not touch are passed on as they are.

        ``information`` (JSON) is kept with the store; None keeps what is there.

        Raises:
            StoreError: Two patients' ids collide, or the present generation is damaged.

        """
        began = time.perf_counter()
        self._flush()
        self._spool.close()
        resettle = self.previous is not None and self.previous.rules != rules
        merged = assemble(self._ingest(), settle, resettle=resettle)
        if information is None:
            information = self.previous.details if self.previous else {}
        metadata.write_information(
            self._partial,
            metadata.Information(
                shards=self._shards,
                ingests=self.previous.ingests + 1 if self.previous else 1,
                written_at=metadata.now(),
                rules=rules,
                events=tuple(shard.events for shard in merged),
                patients=tuple(shard.patients for shard in merged),
                tombstones=tuple(shard.tombstones for shard in merged),
                details=dict(information),
            ),
        )
        generations.switch(self._store, self._partial)
        return WriteSummary(
            events=sum(shard.events for shard in merged),
            patients=sum(shard.patients for shard in merged),
            resources_replaced=sum(shard.replaced for shard in merged),
            tombstones=sum(shard.tombstones for shard in merged),
            seconds=time.perf_counter() - began,
        )

    def _ingest(self) -> Ingest:
        return Ingest(
            partial=self._partial,
            present=self._present,
            previous=self.previous,
            shards=self._shards,
            spool=self._spool,
            formulary=self._formulary,
            changed_medications=self._changed_medications | self._mixtures(),
            descriptions=self._descriptions,
        )

    def _mixtures(self) -> set[str]:
        """Medications that name a changed one as an ingredient."""
        return {
            source
            for source, (codes, _) in self._formulary.items()
            if not self._changed_medications.isdisjoint(codes)
        }

    def _flush(self) -> None:
        if len(self._rows):
            rows, self._rows = self._rows, Rows()
            self.add_table(rows.table(), rows.turns)
