"""Generations: how the store changes from one whole state to the next, or not at all.

::

    <store>/lock                     held (flock) by the one writer
    <store>/current -> generations/000002
    <store>/generations/000002/      a complete MEDS dataset
    <store>/generations/000003.partial/    being written

A generation is written beside the current one, forced to disk, and becomes current by one rename of
a symbolic link. Whatever a crash leaves behind is no reader's business; the next writer removes it.
"""

import fcntl
import os
import shutil
from pathlib import Path

from fhir_mappings.errors import StoreError
from fhir_mappings.store.metadata import FILE_NAME

_FOLDER = "generations"
_CURRENT = "current"
_LOCK = "lock"


def acquire(store: Path) -> int:
    """Take the store for writing, creating it where it is absent; return the lock's descriptor.

    The kernel frees the lock with the process, so a killed writer does not block the next one.

    Raises:
        StoreError: Another process writes to it, or the folder holds something else.

    """
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(store.iterdir()) and not (store / _LOCK).exists():
        raise StoreError("the folder is neither empty nor an event store")
    (store / _FOLDER).mkdir(exist_ok=True, mode=0o700)
    lock = os.open(store / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreError("another process is writing to this event store") from error
    return lock


def current(store: Path) -> Path | None:
    """Return the folder of the current generation, or None where nothing was ever written."""
    link = store / _CURRENT
    return store / link.readlink() if link.is_symlink() else None


def begin(store: Path) -> Path:
    """Clear what a crash left behind and create the folder of the next generation."""
    sweep(store)
    present = current(store)
    number = int(present.name) + 1 if present else 1
    partial = store / _FOLDER / f"{number:06d}.partial"
    for name in ("data", "withheld", "metadata", "spool"):
        (partial / name).mkdir(parents=True, mode=0o700)
    return partial


def switch(store: Path, partial: Path) -> None:
    """Make a completed generation the current one, and remove those before it.

    Everything is on disk before the link changes: otherwise a power cut could leave a link to files
    that never arrived.
    """
    shutil.rmtree(partial / "spool")
    _sync_all(partial)
    complete = partial.with_suffix("")
    partial.rename(complete)
    sync(complete.parent)
    link = store / f"{_CURRENT}.next"
    link.symlink_to(Path(_FOLDER) / complete.name)
    link.replace(store / _CURRENT)
    sync(store)
    sweep(store)


def sweep(store: Path) -> None:
    """Remove every generation but the current one, sparing those that somebody still reads."""
    (store / f"{_CURRENT}.next").unlink(missing_ok=True)
    present = current(store)
    for generation in sorted((store / _FOLDER).iterdir()):
        if present is None or generation.name != present.name:
            _remove_unread(generation)


def hold(generation: Path) -> int:
    """Keep a generation from being removed until the descriptor returned is closed.

    Raises:
        FileNotFoundError: It has been removed already.

    """
    handle = os.open(generation / FILE_NAME, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    if os.fstat(handle).st_nlink == 0:
        os.close(handle)
        raise FileNotFoundError(FILE_NAME)
    return handle


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file of the previous generation to the next one, without copying where possible."""
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without links (some network shares)
        shutil.copyfile(source, target)


def _remove_unread(generation: Path) -> None:
    try:
        handle = os.open(generation / FILE_NAME, os.O_RDONLY)
    except FileNotFoundError:  # never completed, so never read
        shutil.rmtree(generation)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # still read; a later writer removes it
        return
    else:
        # First the file that readers ask for, so that none can take hold of half a generation.
        (generation / FILE_NAME).unlink()
        shutil.rmtree(generation)
    finally:
        os.close(handle)


def _sync_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
