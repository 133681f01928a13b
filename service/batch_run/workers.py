"""Chunks side by side: processes that score, while one writes."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fhir_mappings.store import Store, open_state
from service.batch_run.chunk import Bench, Made, patients_of, score_chunk
from service.batch_run.window import Chunk

AHEAD: Final = 2
"""Chunks a process that are under way or wait to be written: what bounds the memory."""


class _Place(NamedTuple):
    """What a process of ours works with."""

    bench: Bench
    store: Store


_place: _Place | None = None
"""In a process of ours: set once, before its first chunk."""


@contextmanager
def made_chunks(
    bench: Bench, store: Store, chunks: list[Chunk], processes: int
) -> Iterator[Iterator[Made]]:
    """What each chunk comes to, in the order of the chunks.

    Processes are started anew rather than forked: XGBoost's threads would not survive a fork.

    Args:
        bench: what scoring needs.
        store: the records.
        chunks: what is to be done.
        processes: how many work side by side; where there is one, or one chunk, it is this one.

    """
    if min(processes, len(chunks)) < 2:
        yield (score_chunk(bench, patients_of(store, chunk)) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(
        min(processes, len(chunks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(bench, store.folder),
    )
    try:
        yield _in_order(pool, chunks, processes * AHEAD)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, chunks: list[Chunk], at_once: int) -> Iterator[Made]:
    waiting = iter(chunks)
    under_way: deque[Future[Made]] = deque()
    while True:
        while len(under_way) < at_once and (chunk := next(waiting, None)) is not None:
            under_way.append(pool.submit(_score, chunk))
        if not under_way:
            return
        yield under_way.popleft().result()


def _begin(bench: Bench, folder: Path) -> None:
    global _place
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    _place = _Place(bench, open_state(folder))


def _end_with_the_run() -> None:
    """Where the run is killed nobody tells its processes: they would wait for work for ever."""
    run = multiprocessing.parent_process()
    assert run is not None  # noqa: S101  this is a process that was started
    run.join()
    os._exit(1)


def _score(chunk: Chunk) -> Made:
    assert _place is not None  # noqa: S101  _begin has run
    return score_chunk(_place.bench, patients_of(_place.store, chunk))
