"""Assembling a generation: each shard is merged in its turn, or passed on untouched."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.store import generations, metadata, shards
from fhir_mappings.store.merging import Merged, Settle, merge
from fhir_mappings.store.reassignment import Reassigned, reassigned
from fhir_mappings.store.rows import SPOOL_SCHEMA
from fhir_mappings.store.schema import WITHDRAWN
from fhir_mappings.store.spool import Spool


class Ingest(NamedTuple):
    """What goes into a generation: what was there, and what an ingest brought."""

    partial: Path
    present: Path | None
    previous: metadata.Information | None
    shards: int
    spool: Spool
    formulary: metadata.Formulary
    changed_medications: AbstractSet[str]
    descriptions: Mapping[str, str]


class ShardCounts(NamedTuple):
    """What a shard holds now, and how many resources gave way to a later version of themselves."""

    events: int
    patients: int
    replaced: int
    tombstones: int


def assemble(ingest: Ingest, settle: Settle | None, *, resettle: bool) -> list[ShardCounts]:
    """Write the files of the generation ``ingest.partial`` but for ``store.json``.

    ``resettle`` merges every shard, also those that the ingest does not touch.
    """
    counts = []
    codes: set[str] = set()
    everywhere = ingest.spool.read(ingest.shards)
    moved = reassigned(ingest.spool, ingest.present)
    subjects = metadata.SubjectsWriter(ingest.partial)
    try:
        for shard in range(ingest.shards):
            fresh = pa.concat_tables([ingest.spool.read(shard), everywhere])
            if resettle or _touched(ingest, shard, fresh, moved):
                merged = _merge_shard(ingest, shard, fresh, moved, settle)
                codes.update(pc.unique(merged.events.column("code")).to_pylist())
                counts.append(_written(ingest, shard, merged, moved, subjects))
            else:
                counts.append(_pass_on(ingest, shard, subjects))
                codes.update(_codes(ingest.partial, shard))
    finally:
        subjects.close()
    metadata.write_codes(ingest.partial, codes, ingest.descriptions)
    metadata.write_medications(ingest.partial, ingest.formulary)
    return counts


def _touched(ingest: Ingest, shard: int, fresh: pa.Table, moved: Reassigned) -> bool:
    if ingest.present is None or fresh.num_rows or len(moved.lost[shard]):
        return True
    if not ingest.changed_medications:
        return False
    changed = pa.array(sorted(ingest.changed_medications), pa.string())
    path = shards.data_path(ingest.present, shard)
    return any(
        pc.any(pc.is_in(group.column("reference"), value_set=changed)).as_py()
        for group in shards.read_groups(path, ["reference"])
    )


def _merge_shard(
    ingest: Ingest,
    shard: int,
    fresh: pa.Table,
    moved: Reassigned,
    settle: Settle | None,
) -> Merged:
    rows = fresh
    if ingest.present is not None:
        known = shards.read_recorded(ingest.present, shard)
        # What was there comes before every turn of this ingest.
        turn = pa.array(np.full(known.num_rows, -1))
        rows = pa.concat_tables([known.append_column("sequence", turn), fresh])
    rows = _without(rows.cast(SPOOL_SCHEMA), moved.lost[shard])
    return merge(rows, ingest.formulary, settle)


def _written(
    ingest: Ingest,
    shard: int,
    merged: Merged,
    moved: Reassigned,
    subjects: metadata.SubjectsWriter,
) -> ShardCounts:
    shards.write_data(ingest.partial, shard, merged.events)
    shards.write_withheld(ingest.partial, shard, merged.withheld)
    patients = _patients(merged.events)
    subjects.write(patients)
    return ShardCounts(
        events=merged.events.num_rows,
        patients=patients.num_rows,
        replaced=merged.replaced + moved.replaced[shard],
        tombstones=_tombstones(merged, shard),
    )


def _without(rows: pa.Table, lost: pa.Array) -> pa.Table:
    """Drop resources that belong to another shard; tombstones of unknown patients stay."""
    if not len(lost):
        return rows
    gone = pc.is_in(rows.column("source"), value_set=lost)
    return rows.filter(pc.invert(pc.and_(gone, pc.not_equal(rows.column("subject"), ""))))


def _pass_on(ingest: Ingest, shard: int, subjects: metadata.SubjectsWriter) -> ShardCounts:
    if ingest.present is None or ingest.previous is None:
        raise ValueError("a new store has nothing to pass on")
    for path in (shards.data_path, shards.withheld_path):
        generations.link_or_copy(path(ingest.present, shard), path(ingest.partial, shard))
    subjects.write(metadata.read_subjects(ingest.present, shard))
    return ShardCounts(
        events=ingest.previous.events[shard],
        patients=ingest.previous.patients[shard],
        replaced=0,
        tombstones=ingest.previous.tombstones[shard],
    )


def _patients(events: pa.Table) -> pa.Table:
    """Return each patient once, in the order of the shard."""
    numbers = np.asarray(events.column("subject_id"))
    first = np.flatnonzero(np.diff(numbers, prepend=-1))
    return events.select(["subject_id", "subject"]).take(pa.array(first))


def _tombstones(merged: Merged, shard: int) -> int:
    """Count withdrawn resources; those of unknown patients are in every shard, and count once."""
    withdrawn = pc.equal(merged.withheld.column("code"), WITHDRAWN)
    if shard:
        known = pc.not_equal(merged.withheld.column("subject"), "")
        withdrawn = pc.and_(withdrawn, known)
    return int(pc.sum(withdrawn).as_py() or 0)


def _codes(generation: Path, shard: int) -> set[str]:
    """Return the distinct codes of a shard that is on disk already."""
    found: set[str] = set()
    for group in shards.read_groups(shards.data_path(generation, shard), ["code"]):
        found.update(pc.unique(group.column("code")).to_pylist())
    return found
