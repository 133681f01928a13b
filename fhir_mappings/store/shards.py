"""One shard on disk: what readers see (``data``) and what later ingests need (``withheld``)."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fhir_mappings.errors import StoreError
from fhir_mappings.store.schema import DATA_SCHEMA, DICTIONARY_COLUMNS, ROW_SCHEMA

ROW_GROUP = 20_000
"""About as many events as are read at once; a row group ends where a patient ends."""


def data_path(generation: Path, shard: int) -> Path:
    """Return where a shard's events are, in the layout of MEDS."""
    return generation / "data" / f"{shard:04d}.parquet"


def withheld_path(generation: Path, shard: int) -> Path:
    """Return where a shard's tombstones and unsettled originals are."""
    return generation / "withheld" / f"{shard:04d}.parquet"


def write_data(generation: Path, shard: int, events: pa.Table) -> None:
    """Write a shard's events; patients are whole within a row group."""
    cuts = _cuts(np.asarray(events.column("subject_id")))
    with pq.ParquetWriter(
        data_path(generation, shard),
        DATA_SCHEMA,
        compression="zstd",
        use_dictionary=[*DICTIONARY_COLUMNS, "text_value"],
        write_statistics=["subject_id", "time"],
    ) as writer:
        for start, stop in itertools.pairwise(cuts):
            writer.write_table(events.slice(start, stop - start), row_group_size=stop - start)


def write_withheld(generation: Path, shard: int, rows: pa.Table) -> None:
    """Write a shard's tombstones and unsettled originals."""
    pq.write_table(rows.cast(ROW_SCHEMA), withheld_path(generation, shard), compression="zstd")


def read_recorded(generation: Path, shard: int) -> pa.Table:
    """Read a shard as the records said it, before settling, tombstones included."""
    with open_parquet(data_path(generation, shard)) as file:
        events = file.read()
    kept = events.filter(pc.invert(events.column("settled"))).select(ROW_SCHEMA.names)
    with open_parquet(withheld_path(generation, shard)) as file:
        return pa.concat_tables([kept.cast(ROW_SCHEMA), file.read().cast(ROW_SCHEMA)])


def read_groups(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read a shard's row groups in turn, recurring strings as dictionaries."""
    with open_parquet(path, DICTIONARY_COLUMNS) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(columns), use_threads=False)


def read_group(path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    """Read one row group of a shard, as ``read_groups`` gives it in its turn."""
    with open_parquet(path, DICTIONARY_COLUMNS) as file:
        return file.read_row_group(group, columns=list(columns), use_threads=False)


def read_patient(path: Path, number: int, columns: Sequence[str]) -> pa.Table:
    """Read one patient's rows: only the row group that can hold them is read."""
    with open_parquet(path, DICTIONARY_COLUMNS) as file:
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(0).statistics
            if statistics.min <= number <= statistics.max:
                rows = file.read_row_group(group, columns=["subject_id", *columns])
                return rows.filter(pc.equal(rows.column("subject_id"), number))
        return file.schema_arrow.empty_table().select(list(columns))


def open_parquet(path: Path, dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    """Open a Parquet file of the store.

    Raises:
        StoreError: The file is missing or damaged.

    """
    try:
        return pq.ParquetFile(path, read_dictionary=list(dictionary))
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path.parent.name}/{path.name} is missing or damaged") from error


def _cuts(subjects: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Return where row groups start and stop: the first patient boundary past every ROW_GROUP."""
    starts = np.flatnonzero(np.diff(subjects)) + 1
    cuts = [0]
    while len(subjects) - cuts[-1] > ROW_GROUP:
        following = starts[np.searchsorted(starts, cuts[-1] + ROW_GROUP) :]
        if not following.size:
            break
        cuts.append(int(following[0]))
    return [*cuts, len(subjects)] if len(subjects) else [0]
