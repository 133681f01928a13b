"""Writing that a crash or a power cut cannot tear."""

import os
from pathlib import Path

from fhir_mappings.store.generations import sync


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put a file in place at once, on disk before anybody sees it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    _write(temporary, content, os.O_EXCL | os.O_TRUNC, mode)
    temporary.replace(path)
    sync(path.parent)


def append_whole(path: Path, content: bytes) -> None:
    """Add to the end of a file, on disk when this returns."""
    _write(path, content, os.O_APPEND, 0o644)
    sync(path.parent)


def cut(path: Path, length: int) -> None:
    """Shorten a file."""
    with path.open("r+b") as file:
        file.truncate(length)
        os.fsync(file.fileno())


def _write(path: Path, content: bytes, flags: int, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags, mode)
    with os.fdopen(handle, "wb", buffering=0) as file:
        left = memoryview(content)
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
