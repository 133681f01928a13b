"""Bundles taken apart: their resources, and what their references mean.

Read: transaction, batch, searchset, collection, document, history and message Bundles alike
(https://hl7.org/fhir/R4/bundle.html). References are resolved by ``fullUrl`` where an entry has
one, because inside a transaction nothing else names the resource.
"""

from typing import NamedTuple

import msgspec

from fhir_mappings.records.decoding import (
    PassedOver,
    Rejected,
    decode_checked,
    why_not_json,
)


class Entry(msgspec.Struct, gc=False, rename="camel"):
    """An entry of a Bundle, its resource not decoded yet."""

    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class Bundle(msgspec.Struct, gc=False, rename="camel"):
    """https://hl7.org/fhir/R4/bundle.html."""

    resource_type: str
    entry: list[Entry] = []


class Unbundled(NamedTuple):
    """The resources of a Bundle, in order, and the ids that its full URLs stand for."""

    records: list[msgspec.Struct | PassedOver | Rejected]
    ids: dict[str, str]


_decoder = msgspec.json.Decoder(Bundle)


class _Type(msgspec.Struct, gc=False, rename="camel"):
    resource_type: str = ""


_type = msgspec.json.Decoder(_Type)


def is_bundle(raw: bytes) -> bool:
    """Whether these bytes are a Bundle by their ``resourceType``; what is no JSON is none.

    A record may well mention the word, so that its presence is not enough.
    """
    if b'"Bundle"' not in raw:
        return False
    try:
        return _type.decode(raw).resource_type == "Bundle"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def unbundle(raw: bytes) -> Unbundled | Rejected:
    """Decode a Bundle and every resource in it.

    Returns:
        Why it cannot be read, if the Bundle itself is broken; a broken resource inside is a
        ``Rejected`` among the records.

    """
    if refusal := why_not_json(raw):
        return refusal
    try:
        bundle = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Rejected("Bundle", "not a Bundle with a list of entries")
    if bundle.resource_type != "Bundle":
        return Rejected("resourceType", "not a Bundle")
    ids: dict[str, str] = {}
    records = [_record(entry, place, ids) for place, entry in enumerate(bundle.entry)]
    return Unbundled([record for record in records if record is not None], ids)


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
