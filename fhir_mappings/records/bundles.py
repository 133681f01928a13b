"""Bundles taken apart: their resources, and what their references mean.

Read: transaction, batch, searchset, collection, document, history and message Bundles alike
(https://hl7.org/fhir/R4/bundle.html). References are resolved by ``fullUrl`` where an entry has
one, because inside a transaction nothing else names the resource.
"""

from typing import NamedTuple

import msgspec

from fhir_mappings.records.decoding import (
    DEEPEST,
    PassedOver,
    Rejected,
    decode_checked,
    why_not_json,
)


class Entry(msgspec.Struct, gc=False, rename="camel"):
    """An entry of a Bundle, its resource not decoded yet."""

    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class Unbundled(NamedTuple):
    """The resources of a Bundle, in order, and the ids that its full URLs stand for."""

    records: list[msgspec.Struct | PassedOver | Rejected]
    ids: dict[str, str]


_ELEMENTS = frozenset({"type", "total", "link", "meta", "identifier", "timestamp", "signature"})
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries = msgspec.json.Decoder(list[msgspec.Raw])
_entry = msgspec.json.Decoder(Entry)
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
    # Where a colon has gone, a part has: its key occurs twice.
    complete = msgspec.json.encode(parts).count(b":") == raw.count(b":")
    if not complete and (refusal := why_not_json(raw)):
        return refusal
    try:
        entries = _entries.decode(parts.pop("entry", b"[]"))
    except _MALFORMED:
        return Rejected("Bundle.entry", "not a list")
    for name, part in parts.items():
        if refusal := why_not_json(bytes(part)):
            return Rejected(f"Bundle.{name}" if name in _ELEMENTS else "Bundle", refusal.reason)
    ids: dict[str, str] = {}
    records = []
    for place, entry in enumerate(entries):
        if refusal := why_not_json(bytes(entry), DEEPEST - 2):
            return Rejected(f"Bundle.entry[{place}]", refusal.reason)
        try:
            record = _record(_entry.decode(entry), place, ids)
        except _MALFORMED:
            return Rejected(f"Bundle.entry[{place}]", "not an entry with a resource")
        if record is not None:
            records.append(record)
    return Unbundled(records, ids)


def _record(
    entry: Entry, place: int, ids: dict[str, str]
) -> msgspec.Struct | PassedOver | Rejected | None:
    if not entry.resource:
        return None
    record = decode_checked(entry.resource)
    if isinstance(record, Rejected):
        return Rejected(f"Bundle.entry[{place}].{record.element}", record.reason)
    if entry.full_url is not None and not isinstance(record, PassedOver):
        named: str = record.id  # type: ignore[attr-defined]  # every resource has one
        ids[entry.full_url] = named or last_segment(entry.full_url)
        if not named:
            record = msgspec.structs.replace(record, id=ids[entry.full_url])
    return record


def last_segment(reference: str) -> str:
    """The id in a reference or URL: ``Patient/7``, ``https://.../Patient/7``, ``urn:uuid:7``."""
    if reference.startswith("urn:"):
        return reference.rpartition(":")[2]
    return reference.partition("/_history/")[0].rpartition("/")[2]
