"""The files of an export, line by line or Bundle by Bundle, in bounded memory.

A file's name says nothing: what a line holds is read from the line. A file whose first line is a
whole JSON object is NDJSON; any other is one JSON document, a Bundle as a rule.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import msgspec

from fhir_mappings.errors import NotFHIRError
from fhir_mappings.records.decoding import Rejected

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LONGEST = 256 * 1024 * 1024
"""Bytes of one line or document that are held at once. A Bundle is held whole, a line too; what is
longer (a decompression bomb, say) is rejected without being read further."""

_BUFFER = 1 << 20

SUFFIXES = (".ndjson", ".json", ".jsonl", ".ndjson.gz", ".json.gz", ".jsonl.gz")
"""What counts as an export's file when a directory is given; a file named outright always does."""


class Piece(NamedTuple):
    """One line or document of a file, or the fault met in its place."""

    file: str
    line: int
    """Counted from 1; for a document the line where it begins."""
    raw: bytes
    fault: Rejected | None = None


def export_files(path: Path) -> list[Path]:
    """The files of an export: the path itself, or every FHIR file below it, in name order.

    Raises:
        NotFHIRError: if there is no such path, or no FHIR file below it.

    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise NotFHIRError(f"{path}: no such file or directory")
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(SUFFIXES)
    )
    if not found:
        raise NotFHIRError(f"{path}: no file ending in {', '.join(SUFFIXES)}")
    return found


def pieces(file: Path) -> Iterator[Piece]:
    """The lines or the one document of a file; a broken end is yielded as a fault, once."""
    line, name = 0, file.name
    try:
        with _open(file) as stream:
            for line, raw in _lines_or_document(stream):
                if len(raw) > LONGEST:
                    yield Piece(name, line, b"", Rejected("", "longer than can be held"))
                    return
                if raw and not raw.isspace():
                    yield Piece(name, line, raw)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        fault = Rejected("", "compressed data break off or are damaged")
        yield Piece(file.name, line + 1, b"", fault)


def _lines_or_document(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; or, where the first two lines are the start of one document, that alone."""
    first = stream.readline(LONGEST + 1)
    line = 1
    if _breaks_off(first):
        second = stream.readline(LONGEST + 1)
        if not _is_object(second):
            head = first + second
            yield 1, head + stream.read(LONGEST + 1 - len(head))
            return
        yield 1, first
        yield 2, second
        line = 2
    else:
        # Before the next is read: where the file breaks off there, this one is whole.
        yield 1, first
    while raw := stream.readline(LONGEST + 1):
        line += 1
        yield line, raw


def _open(file: Path) -> BinaryIO:
    with file.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    # Opened by its path, so that closing it closes the file below it too.
    if not compressed:
        return file.open("rb", buffering=_BUFFER)
    return cast(BinaryIO, io.BufferedReader(_Unzipped(file), _BUFFER))


class _Unzipped(io.RawIOBase):
    """A gzipped file that gives what it has before it tells that it breaks off.

    ``gzip`` itself fills a whole buffer or raises, and what it had read by then would be lost.
    """

    def __init__(self, file: Path) -> None:
        self._gzip = gzip.GzipFile(file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        return self._gzip.readinto1(buffer)

    def close(self) -> None:
        self._gzip.close()
        super().close()


def _breaks_off(raw: bytes) -> bool:
    """Whether a line is the beginning of a JSON object that goes on below."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "truncated" in str(error) and bool(raw.strip())
    except UnicodeDecodeError:
        return False
    return False


def _is_object(raw: bytes) -> bool:
    try:
        return msgspec.json.decode(raw, type=msgspec.Raw) is not None and raw.lstrip()[:1] == b"{"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
