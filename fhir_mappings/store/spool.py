"""The spool: what an ingest has read so far, on disk, apart by shard.

An export names its patients in any order, so nothing can be merged before all of it is read. Rows
leave memory in batches (Arrow IPC, LZ4), and each shard's come back when it is that shard's turn.
What stays in memory is 8 bytes for each version of a resource: which shard holds it (``holders``).
"""

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
        self.shards = shards
        self._bits = shards.bit_length()
        self._keys: list[npt.NDArray[np.int64]] = []
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
        shard = np.asarray(rows.column("subject_id")) % self.shards
        shard[np.asarray(pc.equal(rows.column("subject"), ""))] = self.shards
        order = np.argsort(shard, kind="stable")
        rows = rows.take(pa.array(order))
        self._note_holders(rows, shard[order])
        cuts = np.searchsorted(shard[order], np.arange(self.shards + 2))
        for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
            if start < stop:
                self._writer(number).write_table(rows.slice(start, stop - start))

    def _note_holders(self, rows: pa.Table, shard: npt.NDArray[np.int64]) -> None:
        # The events of one version follow one another, so its first row stands for it.
        first = np.diff(np.asarray(rows.column("sequence")), prepend=-1) != 0
        chosen = np.flatnonzero(first & (shard < self.shards))
        sources = rows.column("source").take(pa.array(chosen))
        self._keys.append(self.keys(sources, shard[chosen]))

    def holders(self) -> npt.NDArray[np.int64]:
        """Return the distinct ``keys`` of what was read, sorted; unknown patients are left out."""
        keys = np.concatenate([*self._keys, np.array([], dtype=np.int64)])
        self._keys.clear()
        keys.sort()
        distinct: npt.NDArray[np.int64] = keys[np.diff(keys, prepend=~keys[:1]) != 0]
        self._keys.append(distinct)
        return distinct

    def keys(
        self, sources: pa.ChunkedArray, shard: int | npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return a number for each resource and its shard: a hash, and the shard in its last bits.

        The hash is Python's own of a string: good within this process, another in the next.
        """
        names = sources.to_numpy(zero_copy_only=False)
        hashes = np.fromiter(map(hash, names), np.int64, len(names))
        return np.asarray((hashes << self._bits) | shard, dtype=np.int64)

    def hash_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return ``keys`` without the shard."""
        return keys >> self._bits

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
