"""From bytes to a typed record, or to a reason why not; nothing of the content is ever quoted."""

import re
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import jiter
import msgspec

from fhir_mappings.records.datatypes import Meta, Reference
from fhir_mappings.records.resources import RESOURCES, Consent, Provision, Record

DEEPEST = 64
"""Objects and arrays nested deeper than this are refused; R4 resources in use reach about 15."""


class Rejected(NamedTuple):
    """Why a record could not be used: the element at fault and the reason, never the content."""

    element: str
    reason: str
    consent: Consent | None = None
    """What is left of a Consent: whose it is, and a rule that says nothing. It may be a refusal."""


class PassedOver(NamedTuple):
    """A resource of a type that no feature reads; it is counted by its type."""

    resource_type: str


class _ConsentLeft(msgspec.Struct, gc=False):
    """The parts of a Consent that it takes to keep its patient out, whatever their JSON types."""

    id: Any = None
    status: Any = None
    patient: Any = None
    subject: Any = None
    meta: Any = None


class _Header(msgspec.Struct, gc=False, rename="camel"):
    resource_type: str


_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_consent_left = msgspec.json.Decoder(_ConsentLeft)
_header = msgspec.json.Decoder(_Header)
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(reduce(or_, RESOURCES.values()))
_UNREAD = "(not read)"
"""In the place of a rule's type: neither a refusal nor a permission."""
_OUT_OF_RANGE = "Number out of range"
_path = re.compile(r" - at `\$(.*)`$")
_type_name = re.compile(r"[A-Z][A-Za-z]{2,40}\Z")
_NEITHER_BRACKET_NOR_QUOTE = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_WITHOUT_SIGNS = bytes(sorted(set(range(256)) - set(b":[{\\")))
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")


def decode(raw: bytes) -> Record | PassedOver | Rejected:
    """Decode one resource.

    JSON that readers disagree about (duplicate keys, NaN, numbers beyond a double, a byte order
    mark, invalid UTF-8, control characters) is refused: of two readings one would be wrong.
    """
    record = decode_checked(raw)
    if isinstance(record, PassedOver):
        # Nothing of it is used but its type.
        return record
    if not isinstance(record, Rejected) and holds_all(record, raw):
        return record
    refusal = why_not_json(raw)
    if refusal is not None and isinstance(record, Rejected) and record.reason == _OUT_OF_RANGE:
        return record  # the same fault, with the element that has it
    if refusal is not None and _is_consent(raw):
        return refusal._replace(consent=_left_of_consent(raw))
    return refusal or record


def holds_all(decoded: msgspec.Struct, raw: bytes, deepest: int = DEEPEST) -> bool:
    """Whether all of the JSON is in what was decoded from it, and every reader reads it alike.

    Written out again it has as many colons then: a key that is repeated, or that no element is
    listed for, would be missing. False says nothing more than that ``why_not_json`` must be asked.
    """
    signs = raw.translate(None, _WITHOUT_SIGNS)
    if b"\\" in signs and b"\\u" in raw:
        return False  # a colon may be hidden
    colons = signs.count(b":")
    if len(signs) - colons > deepest and _deeper_than(raw, deepest):
        return False
    return _encode(decoded).count(b":") == colons


def why_not_json(raw: bytes, deepest: int = DEEPEST) -> Rejected | None:
    """The reason why these bytes are not JSON that every reader reads alike, or None.

    A strict decoder finds all of it but repeated keys, of which it keeps the last. Those show when
    what it kept is written out again: there are fewer keys. Where the count says anything but
    'the same', or an escaped quotation mark could have upset it, a slower reader has the last word.
    """
    try:
        kept = _encode(_decode_any(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected("", _json_fault(str(error)))
    # One pass over the bytes for all that is counted or looked for; what it leaves is short.
    signs = raw.translate(None, _WITHOUT_SIGNS)
    colons = signs.count(b":")
    # The number of brackets bounds the depth; only what exceeds the bound is peeled.
    if len(signs) - colons > deepest and _deeper_than(raw, deepest):
        return Rejected("", f"nested deeper than {DEEPEST}")
    if b"\\" in signs and b"\\u" in raw:
        return _why_not_escaped(raw)
    return None if kept.count(b":") == colons else _repeated_key(raw)


def _why_not_escaped(raw: bytes) -> Rejected | None:
    """The same for what holds escapes by number, which may hide a colon or a NUL."""
    if b"\\u0000" in raw.replace(b"\\\\", b""):
        # The only character that JSON can escape and that neither FHIR nor a database takes.
        return Rejected("", "a NUL character in a string")
    return _repeated_key(raw)


def _repeated_key(raw: bytes) -> Rejected | None:
    try:
        jiter.from_json(raw, allow_inf_nan=False, cache_mode="none", catch_duplicate_keys=True)
    except ValueError as error:
        return Rejected("", _json_fault(str(error)))
    return None


def decode_checked(raw: bytes | msgspec.Raw) -> Record | PassedOver | Rejected:
    """Decode one resource out of JSON that ``why_not_json`` has let pass."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = str(error)
    try:
        name = _header.decode(raw).resource_type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Rejected("resourceType", "missing, or not an object with a resourceType")
    if name in RESOURCES:
        rejected = _fault(name, fault)
        return rejected._replace(consent=_left_of_consent(raw)) if name == "Consent" else rejected
    if not _type_name.match(name):
        return Rejected("resourceType", "not the name of a resource type")
    return PassedOver(name)


def unread(record: Record) -> Consent | None:
    """A Consent that has no place, as what is left of one; None for any other record."""
    if not isinstance(record, Consent):
        return None
    return msgspec.structs.replace(record, provision=Provision(type=_UNREAD))


def _is_consent(raw: bytes) -> bool:
    try:
        return _header.decode(raw).resource_type == "Consent"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _left_of_consent(raw: bytes | msgspec.Raw) -> Consent:
    left = _consent_left.decode(raw)
    meta = left.meta.get("lastUpdated") if isinstance(left.meta, dict) else None
    patient = left.patient if isinstance(left.patient, dict) else left.subject
    reference = patient.get("reference") if isinstance(patient, dict) else None
    return Consent(
        id=left.id if isinstance(left.id, str) else "",
        meta=Meta(last_updated=meta) if isinstance(meta, str) else None,
        status=left.status if isinstance(left.status, str) else None,
        subject=Reference(reference=reference) if isinstance(reference, str) else None,
        provision=Provision(type=_UNREAD),
    )


def _fault(name: str, message: str) -> Rejected:
    """Msgspec's message without anything of the content: it names types and places only."""
    found = _path.search(message)
    place = found.group(1) if found else ""
    reason = _path.sub("", message)
    if not reason.startswith(("Expected ", "Object missing ", _OUT_OF_RANGE)):
        reason = "cannot be decoded"
    return Rejected(name + place, reason)


_KNOWN_FAULTS = {
    "truncated": "it breaks off",
    "out of range": "number out of range",
    "invalid start byte": "invalid UTF-8",
    "invalid continuation byte": "invalid UTF-8",
    "unexpected end of data": "invalid UTF-8",
    "recursion": f"nested deeper than {DEEPEST}",
}
_byte = re.compile(r"\(byte (\d+)\)")


def _json_fault(message: str) -> str:
    """What a decoder found, without anything of what it read."""
    if "duplicate key" in message.lower():
        return "a key occurs twice in one object"
    for sign, reason in _KNOWN_FAULTS.items():
        if sign in message:
            return f"not JSON: {reason}"
    found = _byte.search(message)
    return f"not JSON: malformed (byte {found.group(1)})" if found else "not JSON"


def _deeper_than(raw: bytes, limit: int) -> bool:
    """Whether JSON is nested deeper than a limit: its brackets alone are peeled, layer by layer."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = raw.translate(_AS_SQUARE, _NEITHER_BRACKET_NOR_QUOTE).split(b'"')[::2]
    brackets = b"".join(outside_strings)
    for _ in range(limit):
        if not brackets:
            return False
        # The innermost layer. Brackets that meet by its removal are left to the next turn.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
