"""The spool: what an ingest has read so far, on disk, apart by shard.

An export names its patients in any order, so nothing can be merged before all of it is read. Rows
leave memory in batches (Arrow IPC, LZ4), and each shard's come back when it is that shard's turn.
"""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from fhir_mappings.store.rows import SPOOL_SCHEMA

_BATCH = 200_000
"""Rows that wait in memory: fewer, and the batches of many shards are too small to compress."""

_OPTIONS = ipc.IpcWriteOptions(compression="lz4")


class Spool:
    """Files of one ingest, one for each shard and one for rows that concern every shard.

    ``shards`` is their number; the rows of a tombstone whose patient is unknown (an empty subject)
    go to the file numbered ``shards``.
    """

    def __init__(self, folder: Path, shards: int) -> None:
        self._folder = folder
        self._shards = shards
        self._writers: dict[int, ipc.RecordBatchStreamWriter] = {}
        self._waiting: list[pa.Table] = []

    def write(self, rows: pa.Table) -> None:
        """Add rows of ``SPOOL_SCHEMA``."""
        self._waiting.append(rows)
        if sum(table.num_rows for table in self._waiting) >= _BATCH:
            self._write_waiting()

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        rows = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting.clear()
        shard = np.asarray(rows.column("subject_id")) % self._shards
        shard[np.asarray(pc.equal(rows.column("subject"), ""))] = self._shards
        order = np.argsort(shard, kind="stable")
        rows = rows.take(pa.array(order))
        cuts = np.searchsorted(shard[order], np.arange(self._shards + 2))
        for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
            if start < stop:
                self._writer(number).write_table(rows.slice(start, stop - start))

    def close(self) -> None:
        """Complete the files, so that they can be read."""
        self._write_waiting()
        self.discard()

    def discard(self) -> None:
        """Let go of the files, and of the rows that are still in memory."""
        self._waiting.clear()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def read(self, number: int) -> pa.Table:
        """Return the rows of one file, none where it was never written."""
        path = self._path(number)
        if not path.exists():
            return SPOOL_SCHEMA.empty_table()
        with pa.memory_map(str(path)) as file, ipc.open_stream(file) as stream:
            return stream.read_all()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.arrow"

    def _writer(self, number: int) -> ipc.RecordBatchStreamWriter:
        if number not in self._writers:
            path = str(self._path(number))
            self._writers[number] = ipc.new_stream(path, SPOOL_SCHEMA, options=_OPTIONS)
        return self._writers[number]
