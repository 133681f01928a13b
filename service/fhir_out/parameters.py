"""What ``$readmission-risk`` is asked with: a Bundle, or Parameters with the records.

Source: FHIR R4, Operations: the inputs come as a Parameters resource; where there is one input of a
resource type, that resource may be sent alone and the others in the URL.
"""

from typing import Final, NamedTuple

import msgspec

from fhir_mappings.errors import NotFHIRError, UnprocessableError
from fhir_mappings.records.decoding import why_not_json

RECORD: Final = "record"
ENCOUNTER: Final = "encounter"
AS_OF: Final = "asOf"


class Inputs(NamedTuple):
    """What the operation is asked with."""

    bundle: bytes
    encounter: str | None
    as_of: str | None
    """As it was sent."""


class _Header(msgspec.Struct, gc=False, rename="camel"):
    resource_type: str


class _Parameter(msgspec.Struct, gc=False, rename="camel"):
    name: str
    resource: msgspec.Raw = msgspec.Raw(b"")
    value_string: str | None = None
    value_id: str | None = None
    value_date_time: str | None = None


class _Parameters(msgspec.Struct, gc=False):
    parameter: list[_Parameter] = []


_header: Final = msgspec.json.Decoder(_Header)
_parameters: Final = msgspec.json.Decoder(_Parameters)


def read_inputs(body: bytes, encounter: str | None, as_of: str | None) -> Inputs:
    """Read the inputs of the operation.

    Args:
        body: a Bundle, or Parameters: what else it is, reading the Bundle says.
        encounter: from the URL.
        as_of: from the URL.

    Raises:
        NotFHIRError: if it is Parameters that cannot be read.
        UnprocessableError: if an input is not known, comes twice, or the records are missing.
    """
    try:
        is_parameters = _header.decode(body).resource_type == "Parameters"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_parameters = False
    if not is_parameters:
        return Inputs(body, encounter, as_of)
    refusal = why_not_json(body)
    if refusal is not None:
        raise NotFHIRError(f"Parameters: {refusal.reason}")
    try:
        sent = _parameters.decode(body).parameter
    except msgspec.DecodeError:
        raise NotFHIRError("Parameters: an element is of another type than R4's") from None
    records = [bytes(one.resource) for one in sent if one.name == RECORD and bytes(one.resource)]
    encounters = [one.value_id or one.value_string for one in sent if one.name == ENCOUNTER]
    moments = [one.value_date_time or one.value_string for one in sent if one.name == AS_OF]
    if len(records) + len(encounters) + len(moments) < len(sent):
        raise UnprocessableError("Parameters: an input is not known, or a record has no resource")
    return Inputs(
        _bundle(records), _one(ENCOUNTER, encounters, encounter), _one(AS_OF, moments, as_of)
    )


def _one(name: str, values: list[str | None], in_url: str | None) -> str | None:
    """The one value of an input, in the body or in the URL.

    Raises:
        UnprocessableError: if there are two, or it has none: another stay than is meant would be
            answered.
    """
    if not values:
        return in_url
    if len(values) > 1 or in_url is not None:
        raise UnprocessableError(f"{name}: given twice")
    if not values[0]:
        raise UnprocessableError(f"{name}: without a value of its type")
    return values[0]


def _bundle(records: list[bytes]) -> bytes:
    """The records as one Bundle: the one that was sent, or single resources put together."""
    if not records:
        raise UnprocessableError("Parameters: no record was sent")
    try:
        kinds = [_header.decode(record).resource_type for record in records]
    except msgspec.DecodeError:
        raise NotFHIRError("Parameters: a record is not a FHIR resource") from None
    if kinds == ["Bundle"]:
        return records[0]
    if "Bundle" in kinds:
        raise UnprocessableError("Parameters: a Bundle comes alone, or single resources do")
    entries = b",".join(b'{"resource":' + record + b"}" for record in records)
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"
