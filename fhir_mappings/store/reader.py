"""Reading: a patient's events in order, shard by shard, with the memory of one row group."""

import itertools
import os
import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from fhir_mappings.errors import StoreError
from fhir_mappings.events import Event
from fhir_mappings.store import generations, metadata, shards
from fhir_mappings.store.schema import EVENT_COLUMNS, events_of, subject_id

_ATTEMPTS = 100


class Store:
    """One state of an event store. Open it with ``open_store``.

    It stays readable, and stays the same, while a later ingest makes another state current. Close
    it, or use it as a context manager, so that the state it reads can be removed.
    """

    information: metadata.Information
    """What the store says of itself."""

    folder: Path
    """The MEDS dataset: ``data``, ``metadata/dataset.json``, ``metadata/codes.parquet``."""

    def __init__(self, folder: Path, information: metadata.Information, handle: int) -> None:
        self.folder = folder
        self.information = information
        self.close = weakref.finalize(self, os.close, handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def home(self) -> Path:
        """The folder that was opened, in which every generation of the store lies."""
        return self.folder.parents[1]

    @property
    def shards(self) -> int:
        """The number of shards."""
        return self.information.shards

    def patients(self) -> int:
        """Return the number of patients with at least one event."""
        return sum(self.information.patients)

    @cached_property
    def _descriptions(self) -> dict[str, str]:
        return metadata.read_descriptions(self.folder)

    def description(self, code: str) -> str:
        """What the records name a code; the bare code where they do not."""
        return self._descriptions.get(code) or code.partition("|")[2] or code

    def subjects(self) -> list[str]:
        """Return every Patient id, in the order in which the shards are read."""
        names: list[str] = metadata.read_subjects(self.folder).column("subject").to_pylist()
        return names

    def read_shard(self, shard: int) -> Iterator[tuple[str, list[Event]]]:
        """Read a shard patient by patient, each with all events in order of time, undated first.

        Raises:
            IndexError: There is no such shard.
            StoreError: Its file is missing or damaged.

        """
        path = self._data(shard)
        for group in shards.read_groups(path, ("subject_id", *EVENT_COLUMNS)):
            yield from _patients(group)

    def groups(self, shard: int, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read columns of a shard's events, a table a row group: a patient is whole within one.

        Whoever wants a few of the patients finds them here and reads them with ``read_group``.
        """
        return shards.read_groups(self._data(shard), columns)

    def read_group(
        self, shard: int, group: int, numbers: Sequence[int]
    ) -> Iterator[tuple[str, list[Event]]]:
        """Read some patients of a row group, in its order, as ``read_shard`` gives them.

        Args:
            shard: the shard.
            group: the row group's place among ``groups``.
            numbers: the patients' MEDS numbers (``subject_id``).

        """
        table = shards.read_group(self._data(shard), group, ("subject_id", *EVENT_COLUMNS))
        wanted = np.isin(np.asarray(table.column("subject_id")), np.asarray(numbers))
        return _patients(table.filter(pa.array(wanted)))

    def read_subject(self, subject: str) -> list[Event]:
        """Return one patient's events in order; none where the store does not know the patient."""
        number = subject_id(subject)
        path = self._data(number % self.shards)
        return list(events_of(shards.read_patient(path, number, EVENT_COLUMNS)))

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read columns of every event, a table a row group, for vectorised scans.

        A patient's rows are whole within one table. The columns ``DICTIONARY_COLUMNS`` come as
        dictionaries.
        """
        for shard in range(self.shards):
            yield from shards.read_groups(self._data(shard), columns)

    def _data(self, shard: int) -> Path:
        if not 0 <= shard < self.shards:
            raise IndexError(f"the store has the shards 0 to {self.shards - 1}")
        return shards.data_path(self.folder, shard)


def _patients(group: pa.Table) -> Iterator[tuple[str, list[Event]]]:
    """The patients of a table of whole patients, each with all events."""
    numbers = np.asarray(group.column("subject_id"))
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    lengths = np.diff(starts, append=len(numbers)).tolist()
    events = events_of(group)
    for length in lengths:
        patient = list(itertools.islice(events, length))
        yield patient[0].subject, patient


def open_store(path: Path) -> Store:
    """Open the current state of the event store at ``path``.

    Raises:
        StoreError: There is none, or it is not one of ours.

    """
    for _ in range(_ATTEMPTS):
        generation = generations.current(path)
        if generation is None:
            raise StoreError("there is no event store in this folder")
        try:
            return _open(generation)
        except FileNotFoundError as error:
            # A writer replaced this generation in between; the link says which is current now.
            if generations.current(path) == generation:
                raise StoreError("the event store has lost its current generation") from error
    raise StoreError("the event store changes faster than it can be opened")


def open_state(folder: Path) -> Store:
    """Open the state that another process has open, though another may be current by now.

    Args:
        folder: ``Store.folder`` of the other process.

    Raises:
        StoreError: The other process has let go of it, and it was removed.

    """
    try:
        return _open(folder)
    except FileNotFoundError:
        raise StoreError("that state of the event store is not there any more") from None


def _open(generation: Path) -> Store:
    handle = generations.hold(generation)
    try:
        return Store(generation, metadata.read_information(generation), handle)
    except BaseException:
        os.close(handle)
        raise
