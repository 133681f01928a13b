"""Resources corrected to another patient: none but the patient of the latest version keeps them.

Shards are merged one by one, and a shard sees the versions of its own patients alone. Where a
result filed under one patient is corrected to another, the two versions may lie in two shards;
merged apart, each would be the latest there, and both patients would keep the result. So before
any shard is merged, the resources that more than one shard holds are found, and every shard but
that of the latest version gives them up.

No trace of the wrong patient is needed to keep an old version away: each ingest compares what it
brings with what every shard holds, tombstones included.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.store import shards
from fhir_mappings.store.merging import greatest
from fhir_mappings.store.rows import SPOOL_SCHEMA
from fhir_mappings.store.spool import Spool

_COLUMNS = ("source", "updated", "sequence")

_FEW = 100_000
"""So many resources are looked for by name, which is quicker; more would take too much memory."""


class Reassigned(NamedTuple):
    """What shards lose to another, by shard.

    ``lost`` names the resources (``Type/id``) that a shard no longer holds. ``replaced`` counts
    those that merging cannot count, since their versions never meet in one shard; each counts with
    one of the shards that lose it.
    """

    lost: list[pa.Array]
    replaced: list[int]


def reassigned(spool: Spool, present: Path | None) -> Reassigned:
    """Find the resources of an ingest that more than one shard holds, and who gives them up.

    ``spool`` is complete; ``present`` is the current generation. The latest version is told as
    within a shard: greatest ``updated``, then latest turn, and what was there before any turn.
    Tombstones of unknown patients are in every shard and take no part.

    Memory: 16 bytes for each version of a resource in the spool while they are sorted, 8 then, and
    about 100 for each event of a resource that changed hands. Time: one pass over the names of
    resources in the current generation, none where the store is new.
    """
    keys = spool.holders()
    candidates = _candidates(keys, spool, present)
    if not candidates.size:
        return Reassigned([pa.array([], pa.string())] * spool.shards, [0] * spool.shards)
    held = list(_held(candidates, spool, present))
    versions = pa.concat_tables(table for _, table in held).combine_chunks()
    shard = np.repeat([number for number, _ in held], [table.num_rows for _, table in held])
    return _decide(versions, shard, spool.shards)


def _candidates(
    keys: npt.NDArray[np.int64], spool: Spool, present: Path | None
) -> npt.NDArray[np.int64]:
    """Hashes, sorted, of resources that seem to be in two shards; a collision may add some."""
    hashes = spool.hash_of(keys)
    found = [hashes[1:][hashes[1:] == hashes[:-1]]]
    names = _few_names(keys, spool) if present is not None else None
    for number in range(spool.shards if present is not None and keys.size else 0):
        for table in _present(present, number, names):
            own = spool.keys(table.column("source"), number)
            sought = spool.hash_of(own)
            position = np.minimum(np.searchsorted(hashes, sought), len(keys) - 1)
            found.append(sought[(hashes[position] == sought) & (keys[position] != own)])
    return np.unique(np.concatenate(found))


def _held(
    candidates: npt.NDArray[np.int64], spool: Spool, present: Path | None
) -> Iterator[tuple[int, pa.Table]]:
    """The versions of candidates, shard by shard: one row an event, ``_COLUMNS``."""
    for number in range(spool.shards):
        for table in (spool.read(number).select(_COLUMNS), *_present(present, number)):
            sought = spool.hash_of(spool.keys(table.column("source"), number))
            position = np.minimum(np.searchsorted(candidates, sought), len(candidates) - 1)
            chosen = table.filter(pa.array(candidates[position] == sought))
            if chosen.num_rows:
                yield number, chosen


def _few_names(keys: npt.NDArray[np.int64], spool: Spool) -> pa.Array | None:
    """The resources of the spool where they are few, else None."""
    if keys.size > _FEW:
        return None
    sources = (spool.read(number).column("source") for number in range(spool.shards))
    return pa.concat_arrays([pc.unique(each) for each in sources])


def _present(
    present: Path | None, number: int, names: pa.Array | None = None
) -> Iterator[pa.Table]:
    """What a shard of the current generation holds, ``_COLUMNS``, a row group at a time.

    ``names`` limits it to these resources.
    """
    if present is None:
        return
    for path in (shards.data_path(present, number), shards.withheld_path(present, number)):
        for group in shards.read_groups(path, ("source", "updated", "subject")):
            if names is not None:
                group = group.filter(pc.is_in(group.column("source"), value_set=names))
            known = group.filter(pc.not_equal(pc.cast(group.column("subject"), pa.string()), ""))
            # What was there comes before every turn of this ingest.
            turn = pa.array(np.full(known.num_rows, -1))
            yield pa.table(
                [known.column("source"), known.column("updated"), turn],
                schema=pa.schema([SPOOL_SCHEMA.field(name) for name in _COLUMNS]),
            )


def _decide(versions: pa.Table, shard: npt.NDArray[np.int64], count: int) -> Reassigned:
    """Who gives up what, told by names and not by hashes: a collision moves nothing."""
    sources = versions.column("source").combine_chunks().dictionary_encode()
    which, groups = sources.indices.to_numpy(), len(sources.dictionary)
    updated = np.asarray(versions.column("updated"))
    sequence = np.asarray(versions.column("sequence"))
    recent = updated == greatest(updated, which, groups)[which]
    # Every turn is -1 or more, so -2 is before them all.
    turn = greatest(np.where(recent, sequence, -2), which, groups)
    latest = recent & (sequence == turn[which])
    winner = greatest(np.where(latest, shard, -1), which, groups)
    loses = shard != winner[which]
    # A resource of which the winner's shard has an older version is counted when it is merged.
    counted = np.isin(np.arange(groups), which[~loses & ~recent])
    older = np.isin(np.arange(groups), which[loses & ~recent]) & ~counted
    first = -greatest(np.where(loses, -shard, -count), which, groups)
    return Reassigned(
        lost=[
            sources.dictionary.take(pa.array(np.unique(which[loses & (shard == number)])))
            for number in range(count)
        ],
        replaced=np.bincount(first[older], minlength=count).tolist(),
    )
