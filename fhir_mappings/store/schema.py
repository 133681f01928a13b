"""The columns of the store: those of MEDS, and those that an event needs beside them.

MEDS (Medical Event Data Standard 0.4, https://medical-event-data-standard.github.io) asks for
``subject_id``, ``time`` and ``code``, names ``numeric_value`` (32 bits) and ``text_value``, and
allows columns of one's own. Its 32 bits cannot hold every number that a record gives (a creatinine
of 1.1 comes back as 1.10000002), so ``value`` keeps the number in 64 bits for us and
``numeric_value`` repeats it for the tools of MEDS.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.events import Event

_INSTANT = pa.timestamp("us")

ROW_SCHEMA = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("time", _INSTANT),
        ("code", pa.string()),
        ("text_value", pa.large_string()),
        ("value", pa.float64()),
        ("subject", pa.string()),
        ("end", _INSTANT),
        ("known_at", _INSTANT),
        ("kind", pa.string()),
        ("unit", pa.string()),
        ("encounter_id", pa.string()),
        ("source", pa.string()),
        ("updated", pa.int64()),
        ("utc_offset", pa.int32()),
        ("dated_by", pa.string()),
        ("reference", pa.string()),
    ]
)
"""What is known of one event; ``reference`` is the ``Medication/id`` that its code stands for."""

DATA_SCHEMA = ROW_SCHEMA.append(pa.field("settled", pa.bool_())).insert(
    3, pa.field("numeric_value", pa.float32())
)
"""A shard on disk. ``settled`` marks rows that settling changed: ``withheld`` has the original."""

WITHDRAWN = "readmit/withdrawn"
"""The code of a tombstone: the row by which a withdrawn resource is remembered."""

DICTIONARY_COLUMNS = ("subject", "code", "kind", "unit", "encounter_id", "dated_by", "reference")
"""Columns whose few values recur: stored, and read, as a dictionary and indices."""

EVENT_COLUMNS = (
    "subject",
    "time",
    "end",
    "known_at",
    "kind",
    "code",
    "value",
    "unit",
    "text_value",
    "encounter_id",
    "source",
    "updated",
    "utc_offset",
    "dated_by",
)
"""The columns that make an ``Event``, in the order of its fields."""

# Event._make checks lengths in Python, which costs as much as making the tuple; the columns above
# are as many as the fields, which a test holds.
_event = partial(cast("Any", tuple.__new__), Event)


def subject_id(subject: str) -> int:
    """Return the MEDS number of a Patient id: the first 63 bits of its SHA-256.

    The same on every machine and in every ingest. Two ids of one number are improbable (1 in 10
    million for a million patients); the writer finds them and refuses.
    """
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8]) >> 1


def table_of(events: Sequence[Event]) -> pa.Table:
    """Turn events into rows of ``ROW_SCHEMA``."""
    columns = dict(zip(EVENT_COLUMNS, zip(*events, strict=True), strict=True))
    arrays = {
        name: pa.array(column, ROW_SCHEMA.field(name).type) for name, column in columns.items()
    }
    subjects = arrays["subject"].dictionary_encode()
    numbers = pa.array([subject_id(name) for name in subjects.dictionary.to_pylist()], pa.int64())
    arrays["subject_id"] = numbers.take(subjects.indices)
    code = arrays["code"]
    refers = pc.starts_with(code, pattern="Medication/")
    arrays["reference"] = pc.if_else(refers, code, pa.scalar(None, pa.string()))
    return pa.table([arrays[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)


def events_of(table: pa.Table) -> Iterator[Event]:
    """Turn rows into events, one at a time; ``table`` has the columns ``EVENT_COLUMNS``."""
    return map(_event, zip(*(_values(table.column(name)) for name in EVENT_COLUMNS), strict=True))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Turn a column into Python values, None where null.

    Recurring strings become one object each: that is five times as fast as making each anew, keeps
    a patient small in memory, and makes the comparisons that follow comparisons of identity.
    """
    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        entries = np.array([*array.dictionary.to_pylist(), None], dtype=object)
        indices = array.indices.fill_null(len(entries) - 1).to_numpy(zero_copy_only=False)
        return cast("list[Any]", entries[indices].tolist())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    if array.null_count == len(array):
        return [None] * len(array)
    if array.null_count == 0 and not pa.types.is_large_string(array.type):
        return cast("list[Any]", array.to_numpy(zero_copy_only=False).tolist())
    return cast("list[Any]", array.to_pylist())
