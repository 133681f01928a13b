"""An export without identifiers: read twice, written once, and put in place when it is whole."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from fhir_mappings.deidentification.data_files import FOLDER
from fhir_mappings.deidentification.dates import Dates
from fhir_mappings.deidentification.pseudonyms import LENGTH, Pseudonyms
from fhir_mappings.deidentification.references import FullUrls, Named
from fhir_mappings.deidentification.sorted_lines import SortedLines
from fhir_mappings.deidentification.tally import Summary, Tally, travelling
from fhir_mappings.deidentification.walker import Json, Walker
from fhir_mappings.errors import ExportError
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.bundles import last_segment
from fhir_mappings.records.decoding import why_not_json
from fhir_mappings.records.files import export_files, pieces

REPORT: Final = "DEIDENTIFICATION.json"
"""The file of an export that says what it is."""

SALT_BYTES: Final = 32

Progress = Callable[[str, int, int], None]
"""Told what is done, bytes of it, and bytes in all. Never a file's name: it may be a patient's."""

Found = Iterator[tuple[Named, Json, FullUrls]]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def export(
    sources: Sequence[Path],
    out: Path,
    key: bytes,
    profile: SiteProfile,
    *,
    dates: Dates = Dates.YEAR,
    keep_pseudonyms: bool = False,
    zipped: bool = False,
    progress: Progress | None = None,
    before_release: Callable[[Summary], None] | None = None,
) -> Summary:
    """Write records without identifiers into a new folder.

    Args:
        sources: files or folders of FHIR R4 NDJSON or Bundles, gzipped or not.
        out: the folder; it must be new or empty, and apart from the sources.
        key: the operator's key for exports, 32 bytes at least.
        profile: the site's. A local code is kept only where it names the code in full.
        dates: to the year, or shifted.
        keep_pseudonyms: use the pseudonyms of every other export that does so. Otherwise they are
            made with a random salt that nobody keeps.
        zipped: gzip the files.
        progress: told of both readings.
        before_release: called with the summary before the folder is put in place. If it raises,
            there is no export: nothing leaves that is not in the audit.

    Returns:
        What was kept and left out, exactly. The folder's own report has rounded counts.

    Raises:
        ExportError: if ``out`` holds something, or lies in a source or around one.
        NotFHIRError: if a source does not exist or has no FHIR file.
    """
    files = [file for source in sources for file in export_files(source)]
    _check_apart(sources, out)
    tally = Tally()
    names = Pseudonyms(key, b"" if keep_pseudonyms else secrets.token_bytes(SALT_BYTES))
    walker = Walker(names, profile, dates, tally)
    # What is broken is counted in the second reading.
    for found in _resources(files, Tally(), "survey (bytes)", progress):
        walker.survey(*found)
    with _unfinished(out) as folder:
        _write(folder, walker, _resources(files, tally, "write (bytes)", progress), zipped=zipped)
        summary = tally.summary(dates, tally.written["Patient"])
        report = travelling(summary, dates, lasting=keep_pseudonyms, allow_list=allow_list_digest())
        text = json.dumps(report, indent=2) + "\n"
        (folder / REPORT).write_text(text, encoding="utf-8")
        if before_release is not None:
            before_release(summary)
    return summary


def allow_list_digest() -> str:
    """SHA-256 of the files that decide what is kept, so that an export can be traced to them."""
    digest = hashlib.sha256()
    for file in sorted(FOLDER.glob("*.csv")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _write(folder: Path, walker: Walker, found: Found, *, zipped: bool) -> None:
    lines: dict[str, SortedLines] = {}
    for named, resource, full_urls in found:
        written = walker.written(named, resource, full_urls)
        if written is None:
            continue
        name = named.resource_type
        if name not in lines:
            begins = len(_encode({"resourceType": name, "id": "-" * LENGTH}))
            lines[name] = SortedLines(folder, name, begins - len('"}'))
        lines[name].add(_encode(written))
    for each in lines.values():
        each.finish(zipped=zipped)


def _resources(files: Sequence[Path], tally: Tally, what: str, progress: Progress | None) -> Found:
    """Every resource of an export that can be read; what cannot is counted."""
    sizes = [file.stat().st_size for file in files]
    done, whole = 0, sum(sizes)
    for file, size in zip(files, sizes, strict=True):
        for piece in pieces(file):
            fault = piece.fault or why_not_json(piece.raw)
            if fault is not None:
                # Where in the line it broke is nobody's business but the operator's.
                tally.rejected[fault.reason.partition(" (byte")[0]] += 1
                continue
            yield from _unbundled(_decode(piece.raw), tally)
        done += size
        if progress is not None:
            progress(what, done, whole)


def _unbundled(document: Any, tally: Tally) -> Found:
    """The resource of a line, or those of a Bundle."""
    if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
        entries: list[Any] = [{"resource": document}]
    else:
        listed = document.get("entry", [])
        entries = listed if isinstance(listed, list) else [None]
    found: list[tuple[Named, Json]] = []
    full_urls: dict[str, Named] = {}
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        named = _named(entry, resource)
        if named is None or resource is None:
            tally.rejected["not a resource with a type"] += 1
            continue
        found.append((named, resource))
        if isinstance(full_url := entry.get("fullUrl"), str):
            full_urls[full_url] = named
    for named, resource in found:
        yield named, resource, full_urls


def _named(entry: Any, resource: Any) -> Named | None:
    """Type and id of an entry's resource; the id is that of its full URL where it has none."""
    resource_type = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource_type, str):
        return None
    identifier, full_url = resource.get("id"), entry.get("fullUrl")
    if not identifier and isinstance(full_url, str):
        identifier = last_segment(full_url)
    return Named(resource_type, identifier if isinstance(identifier, str) else "")


def _check_apart(sources: Sequence[Path], out: Path) -> None:
    place = out.resolve()
    for source in sources:
        read = source.resolve()
        if place == read or place.is_relative_to(read) or read.is_relative_to(place):
            raise ExportError(f"{out}: lies within the records, or around them")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out}: is there already, and not an empty folder")


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place when all went well, and is deleted if not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.{secrets.token_hex(4)}.unfinished")
    folder.mkdir()
    try:
        yield folder
        folder.replace(out)
    except BaseException:
        shutil.rmtree(folder)
        raise
