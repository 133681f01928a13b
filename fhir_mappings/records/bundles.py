"""Bundles taken apart: their resources, and what their references mean.

Read: transaction, batch, searchset, collection, document, history and message Bundles alike
(https://hl7.org/fhir/R4/bundle.html). References are resolved by ``fullUrl`` where an entry has
one, because inside a transaction nothing else names the resource.
"""

from typing import NamedTuple

import msgspec

from fhir_mappings.records.datatypes import Element, Unread
from fhir_mappings.records.decoding import (
    DEEPEST,
    PassedOver,
    Rejected,
    decode_checked,
    holds_all,
    why_not_json,
)
from fhir_mappings.records.resources import Record


class WholeEntry(Element):
    """An entry of a Bundle with a resource of a type that we read."""

    full_url: str | None = None
    resource: Record | None = None
    link: Unread = None
    search: Unread = None
    request: Unread = None
    response: Unread = None


class Entry(msgspec.Struct, gc=False, rename="camel"):
    """An entry of a Bundle, its resource not decoded yet."""

    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class Unbundled(NamedTuple):
    """The resources of a Bundle, in order, and the ids that its full URLs stand for."""

    records: list[Record | PassedOver | Rejected]
    ids: dict[str, str]


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries = msgspec.json.Decoder(list[msgspec.Raw])
_entry = msgspec.json.Decoder(Entry)
_whole_entry = msgspec.json.Decoder(WholeEntry)
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def unbundle(raw: bytes) -> Unbundled | Rejected:
    """Decode a Bundle and every resource in it.

    The checks of ``why_not_json`` are made entry by entry: a record with escapes then costs the
    slower check itself, and not the whole Bundle.

    Returns:
        Why it cannot be read, if the Bundle itself is broken; a broken resource inside is a
        ``Rejected`` among the records.

    """
    try:
        parts = _parts.decode(raw)
    except _MALFORMED:
        return why_not_json(raw) or Rejected("", "not a Bundle")
    if bytes(parts.get("resourceType", b"")) != b'"Bundle"':
        return why_not_json(raw) or Rejected("resourceType", "not a Bundle")
    listed = bytes(parts.get("entry", b"[]"))
    # What is left without the entries is small, and shows a part that occurs twice.
    if refusal := why_not_json(_without(raw, listed)):
        return Rejected("Bundle", refusal.reason)
    try:
        entries = _entries.decode(listed)
    except _MALFORMED:
        return Rejected("Bundle.entry", "not a list")
    ids: dict[str, str] = {}
    records: list[Record | PassedOver | Rejected] = []
    for place, entry in enumerate(map(bytes, entries)):
        if (whole := _whole(entry, ids)) is not None:
            records.append(whole)
            continue
        try:
            record = _record(_entry.decode(entry), place, ids)
        except _MALFORMED:
            return Rejected(f"Bundle.entry[{place}]", "not an entry with a resource")
        if not isinstance(record, PassedOver) and (refusal := why_not_json(entry, DEEPEST - 2)):
            return Rejected(f"Bundle.entry[{place}]", refusal.reason)
        if record is not None:
            records.append(record)
    return Unbundled(records, ids)


def _without(raw: bytes, part: bytes) -> bytes:
    """The bytes with a part of them replaced by an empty list; all of them where it is not found.

    Only the part's beginning is searched for: a search for half a megabyte prepares for long.
    """
    start = raw.find(part[:200])
    if not raw.startswith(part, start):
        return raw
    return raw[:start] + b"[]" + raw[start + len(part) :]


def _whole(raw: bytes, ids: dict[str, str]) -> Record | None:
    """The record of an entry that is read and checked in one decoding, as nearly all are."""
    try:
        entry = _whole_entry.decode(raw)
    except _MALFORMED:
        return None
    if entry.resource is None or not holds_all(entry, raw, DEEPEST - 2):
        return None
    return _named(entry.resource, entry.full_url, ids)


def _record(entry: Entry, place: int, ids: dict[str, str]) -> Record | PassedOver | Rejected | None:
    if not entry.resource:
        return None
    record = decode_checked(entry.resource)
    if isinstance(record, Rejected):
        return record._replace(element=f"Bundle.entry[{place}].{record.element}")
    return record if isinstance(record, PassedOver) else _named(record, entry.full_url, ids)


def _named(record: Record, full_url: str | None, ids: dict[str, str]) -> Record:
    """The record with an id, by its entry's ``fullUrl`` where it has none of its own."""
    if full_url is None:
        return record
    named = record.id
    ids[full_url] = named or last_segment(full_url)
    return record if named else msgspec.structs.replace(record, id=ids[full_url])


def last_segment(reference: str) -> str:
    """The id in a reference or URL: ``Patient/7``, ``https://.../Patient/7``, ``urn:uuid:7``."""
    if reference.startswith("urn:"):
        return reference.rpartition(":")[2]
    return reference.partition("/_history/")[0].rpartition("/")[2]
