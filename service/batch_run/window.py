"""Who a batch run looks at: patients in hospital, and those who left it within the horizon.

The store is searched by four of its columns, without making an event: of a hospital's records few
patients are in the window, and reading the others each night would be most of the work.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fhir_mappings.events import DAY
from fhir_mappings.stays import Stay, find_stays, visible
from fhir_mappings.store import Store
from fhir_mappings.timeline import Timeline

CHUNK: Final = 256
"""Patients that are scored and committed together: enough for the model to be asked about many at
once and for a commit to cost little a patient, few enough that a run which is killed repeats
seconds, and that memory holds one chunk a process."""

LONGEST_OPEN_DAYS: Final = 365
"""A stay without a discharge counts as one in hospital for so long. Later it is taken for an
encounter that nobody closed, or the list would fill with patients who left years ago."""

_INPATIENT: Final = "readmit/encounter|inpatient"
_COLUMNS: Final = ("subject_id", "time", "end", "code")


class Part(NamedTuple):
    """Some patients of one row group of the store."""

    shard: int
    group: int
    numbers: tuple[int, ...]
    """MEDS numbers of the patients."""


Chunk = tuple[Part, ...]
"""Patients that are scored and committed together."""


def plan(store: Store, as_of: int, days: int, at_once: int = CHUNK) -> list[Chunk]:
    """The patients in the window, in chunks; the same for the same state of the store and moment.

    Args:
        store: the records.
        as_of: microseconds UTC.
        days: how long after discharge a patient is looked at.
        at_once: patients in a chunk.

    """
    chunks: list[Chunk] = []
    parts: list[Part] = []
    free = at_once
    for part in _parts(store, as_of, days):
        numbers = part.numbers
        while numbers:
            taken, numbers = numbers[:free], numbers[free:]
            parts.append(part._replace(numbers=taken))
            free -= len(taken)
            if not free:
                chunks.append(tuple(parts))
                parts, free = [], at_once
    return [*chunks, tuple(parts)] if parts else chunks


def _parts(store: Store, as_of: int, days: int) -> Iterator[Part]:
    for shard in range(store.shards):
        for group, table in enumerate(store.groups(shard, _COLUMNS)):
            numbers = _in_window(table, as_of, days)
            if numbers:
                yield Part(shard, group, numbers)


def _in_window(table: pa.Table, as_of: int, days: int) -> tuple[int, ...]:
    code = table.column("code").combine_chunks()
    which = np.flatnonzero(np.array(code.dictionary.to_pylist(), dtype=object) == _INPATIENT)
    if not len(which):
        return ()
    inpatient = code.indices.fill_null(-1).to_numpy(zero_copy_only=False) == which[0]
    rows = table.filter(pa.array(inpatient))
    begun, ended = _moments(rows, "time"), _moments(rows, "end")
    seen = (begun >= 0) & (begun <= as_of)
    is_open = ((ended < 0) | (ended > as_of)) & (begun >= as_of - LONGEST_OPEN_DAYS * DAY)
    recent = (ended <= as_of) & (ended >= as_of - days * DAY)
    found = np.unique(np.asarray(rows.column("subject_id"))[seen & (is_open | recent)])
    return tuple(found.tolist())


def _moments(rows: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """A column of moments; -1 where there is none."""
    moments: npt.NDArray[np.int64] = np.asarray(
        rows.column(name).cast(pa.int64()).fill_null(-1), dtype=np.int64
    )
    return moments


def newest_stay(timeline: Timeline, as_of: int, days: int) -> Stay | None:
    """The stay that a patient is on the list with; None where their newest one is not recent.

    It is the one that began last of those that could be seen, as it could be seen: a discharge
    that lies ahead is not known, and a transfer to come is not part of it.

    Args:
        timeline: the patient.
        as_of: microseconds UTC.
        days: how long after discharge a patient is looked at.

    """
    stays = find_stays(visible(timeline.visits, as_of), ("inpatient",), timeline.profile.stays)
    if not stays:
        return None
    newest = max(stays, key=lambda stay: stay.start)
    if newest.end is None:
        return newest if as_of - newest.start <= LONGEST_OPEN_DAYS * DAY else None
    return newest if as_of - newest.end <= days * DAY else None
