"""From all versions of a shard's rows to the events that hold now: one call a shard, no row loops.

The steps: latest versions, references to drugs, order, duplicates, settling, order again.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.errors import StoreError
from fhir_mappings.formulary import drug_codes
from fhir_mappings.store.metadata import Formulary
from fhir_mappings.store.schema import DATA_SCHEMA, ROW_SCHEMA, WITHDRAWN

Settle = Callable[[pa.Table], pa.Table]
"""Dates what the record left undated; see ``StoreWriter.finish``."""

_LEAST = np.iinfo(np.int64).min
_ROW = "row"

_ORDER = (
    "subject_id",
    "time",
    "known_at",
    "code",
    "source",
    "value",
    "end",
    "kind",
    "unit",
    "text_value",
    "encounter_id",
    "updated",
    "utc_offset",
    "dated_by",
    "reference",
)


class Merged(NamedTuple):
    """A shard after merging.

    ``events`` is what readers see (``DATA_SCHEMA``). ``withheld`` (``ROW_SCHEMA``) is what later
    ingests need: tombstones, and the original of every row that settling changed or dropped.
    ``replaced`` counts resources of which an earlier version gave way.
    """

    events: pa.Table
    withheld: pa.Table
    replaced: int


def merge(rows: pa.Table, formulary: Formulary, settle: Settle | None) -> Merged:
    """Merge every known version of a shard's rows (``SPOOL_SCHEMA``).

    Raises:
        StoreError: Two patients share a number.

    """
    rows = rows.combine_chunks()
    rows, replaced = latest_versions(rows)
    rows = rows.select(ROW_SCHEMA.names)
    withdrawn = pc.equal(rows.column("code"), WITHDRAWN)
    tombstones = distinct(in_order(rows.filter(withdrawn)))
    _check_subjects(rows)
    recorded = resolve(rows.filter(pc.invert(withdrawn)), formulary)
    settled, originals = _settled(recorded, settle)
    withheld = pa.concat_tables([tombstones, originals])
    return Merged(_as_data(settled), withheld, replaced)


def latest_versions(rows: pa.Table) -> tuple[pa.Table, int]:
    """Keep the rows of each resource's latest version: greatest ``updated``, then latest turn.

    Returns them and the number of resources of which an earlier version was among the rows.
    """
    if not rows.num_rows:
        return rows, 0
    sources = rows.column("source").combine_chunks().dictionary_encode()
    which = sources.indices.to_numpy()
    updated = np.asarray(rows.column("updated"))
    sequence = np.asarray(rows.column("sequence"))
    latest = greatest(updated, which, len(sources.dictionary))
    recent = updated == latest[which]
    turn = greatest(np.where(recent, sequence, _LEAST), which, len(sources.dictionary))
    replaced = np.unique(which[~recent]).size
    kept = recent & (sequence == turn[which])
    return (rows if kept.all() else rows.filter(pa.array(kept))), replaced


def greatest(
    numbers: npt.NDArray[np.int64], which: npt.NDArray[np.int32], groups: int
) -> npt.NDArray[np.int64]:
    """Return the greatest number of each group; ``which`` says the group of each number."""
    greatest = np.full(groups, _LEAST)
    np.maximum.at(greatest, which, numbers)
    return greatest


def resolve(rows: pa.Table, formulary: Formulary) -> pa.Table:
    """Give events that refer to a Medication its codes, one event for each.

    Where the Medication is unknown or has no code the event keeps the code ``Medication/id``. The
    answer is sorted (``in_order``) and free of duplicates, whatever an earlier ingest resolved.
    """
    position = rows.schema.get_field_index("code")
    refers = pc.is_valid(rows.column("reference"))
    if not pc.any(refers).as_py():
        return distinct(in_order(rows))
    # Back to one event a reference first: the Medication may have other codes now.
    referring = rows.filter(refers)
    referring = referring.set_column(position, "code", referring.column("reference"))
    referring = distinct(in_order(referring))
    references = referring.column("reference").combine_chunks()
    named = pc.unique(references).to_pylist()
    known = {name: codes for name, (codes, _) in formulary.items()}
    codes = pa.array([drug_codes(name, known) for name in named], pa.list_(pa.string()))
    lists = codes.take(pc.index_in(references, value_set=pa.array(named, pa.string())))
    referring = referring.take(pc.list_parent_indices(lists))
    referring = referring.set_column(position, "code", pc.list_flatten(lists))
    plain = rows.filter(pc.invert(refers))
    return distinct(in_order(pa.concat_tables([plain, referring])))


def in_order(rows: pa.Table) -> pa.Table:
    """Sort by patient, time (undated first), known_at, code, source, value and all the rest.

    The order is total, so the same rows give the same shard however they came.
    """
    keys = pa.table([_sort_key(rows.column(name)) for name in _ORDER], names=list(_ORDER))
    ordering = [(name, "ascending") for name in _ORDER]
    return rows.take(pc.sort_indices(keys, sort_keys=ordering)).combine_chunks()


def _sort_key(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Turn a column into one whose order is total, with nulls first where they are times."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).fill_null(_LEAST)
    if pa.types.is_float64(column.type):
        return pa.array(_ordered_bits(column), mask=np.asarray(pc.is_null(column)))
    return column


def _ordered_bits(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Map doubles to integers of the same order; -0.0 before 0.0, every NaN by its bits."""
    bits = np.ascontiguousarray(column.fill_null(0.0).to_numpy()).view(np.int64)
    return bits ^ ((bits >> 63) & np.iinfo(np.int64).max)


def distinct(rows: pa.Table) -> pa.Table:
    """Drop rows that repeat the row before them in every column; ``rows`` is in order."""
    if rows.num_rows < 2:
        return rows
    repeats = np.ones(rows.num_rows - 1, dtype=bool)
    for name in ("source", "code", *_ORDER):  # the first two rule out nearly every row
        repeats &= ~_differs(rows.column(name)[1:], rows.column(name)[:-1])
        if not repeats.any():
            return rows
    return rows.filter(pa.array(np.concatenate(([True], ~repeats))))


def _differs(left: pa.ChunkedArray, right: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Tell where two columns differ; null equals null, and numbers are compared by their bits."""
    if pa.types.is_float64(left.type):
        different = _ordered_bits(left) != _ordered_bits(right)
    else:
        different = np.asarray(pc.fill_null(pc.not_equal(left, right), False))
    one_null = np.asarray(pc.xor(pc.is_null(left), pc.is_null(right)))
    return np.asarray(different | one_null, dtype=np.bool_)


def _settled(recorded: pa.Table, settle: Settle | None) -> tuple[pa.Table, pa.Table]:
    """Settle rows; return them in order with the column ``settled``, and the originals."""
    nothing = recorded.slice(0, 0)
    if settle is None:
        return _flagged(recorded, np.zeros(recorded.num_rows, dtype=bool)), nothing
    numbered = recorded.append_column(_ROW, pa.array(np.arange(recorded.num_rows)))
    settled = settle(numbered)
    if set(settled.column_names) != {*ROW_SCHEMA.names, _ROW}:
        raise ValueError("settling must keep the columns that it was given")
    row = np.asarray(settled.column(_ROW))
    settled = settled.select(ROW_SCHEMA.names).cast(ROW_SCHEMA).combine_chunks()
    before = recorded if _untouched(row, recorded.num_rows) else recorded.take(pa.array(row))
    changed = np.zeros(len(row), dtype=bool)
    for name in ROW_SCHEMA.names:
        if not before.column(name).equals(settled.column(name)):
            changed |= _differs(before.column(name), settled.column(name))
    lost = np.ones(recorded.num_rows, dtype=bool)
    lost[row[~changed]] = False
    flagged = _flagged(settled, changed)
    # Unchanged rows are in order already unless settling moved them.
    if changed.any() or not _untouched(row, recorded.num_rows):
        flagged = in_order(flagged)
    return flagged, recorded.filter(pa.array(lost))


def _untouched(row: npt.NDArray[np.int64], count: int) -> bool:
    return len(row) == count and bool((row == np.arange(count)).all())


def _flagged(rows: pa.Table, changed: npt.NDArray[np.bool_]) -> pa.Table:
    return rows.append_column("settled", pa.array(changed))


def _as_data(rows: pa.Table) -> pa.Table:
    number = pc.cast(rows.column("value"), pa.float32(), safe=False)
    position = DATA_SCHEMA.get_field_index("numeric_value")
    field = DATA_SCHEMA.field("numeric_value")
    return rows.add_column(position, field, number).cast(DATA_SCHEMA)


def _check_subjects(rows: pa.Table) -> None:
    known = rows.filter(pc.not_equal(rows.column("subject"), ""))
    numbers = pc.count_distinct(known.column("subject_id")).as_py()
    if numbers != pc.count_distinct(known.column("subject")).as_py():
        raise StoreError("two patients have the same subject_id: their ids collide in 63 bits")
