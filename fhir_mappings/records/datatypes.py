"""The FHIR R4 data types, cut down to the elements that we read or that are common.

A typed element that has another JSON type than FHIR gives it makes its resource a reject. One that
is ``Unread`` is listed because exports carry it often: a record of listed elements alone is read
and checked for repeated keys in one decoding (``decoding``). What is not listed is skipped, and its
record is checked by a second. Names are FHIR's own.
"""

from typing import Any

import msgspec

Unread = Any
"""An element that no event needs; it may have any JSON type."""


class Element(msgspec.Struct, gc=False, rename="camel", omit_defaults=True, kw_only=True):
    """A FHIR element: camelCase in JSON. Cycles cannot occur, so the collector may skip them."""

    extension: Unread = None


class Meta(Element):
    """https://hl7.org/fhir/R4/resource.html#Meta."""

    last_updated: str | None = None
    version_id: Unread = None
    source: Unread = None
    profile: Unread = None
    security: Unread = None
    tag: Unread = None


class Coding(Element):
    """https://hl7.org/fhir/R4/datatypes.html#Coding."""

    system: str | None = None
    code: str | None = None
    display: str | None = None
    version: Unread = None
    user_selected: Unread = None


class CodeableConcept(Element):
    """https://hl7.org/fhir/R4/datatypes.html#CodeableConcept."""

    coding: list[Coding] = []
    text: str | None = None


class Reference(Element):
    """https://hl7.org/fhir/R4/references.html#Reference."""

    reference: str | None = None
    type: Unread = None
    identifier: Unread = None
    display: Unread = None


class NamedReference(Reference):
    """A reference whose words are read as well: some records name an organization by them alone."""

    display: str | None = None


class Identifier(Element):
    """https://hl7.org/fhir/R4/datatypes.html#Identifier."""

    system: str | None = None
    value: str | None = None
    use: Unread = None
    type: Unread = None
    period: Unread = None
    assigner: Unread = None


class Period(Element):
    """https://hl7.org/fhir/R4/datatypes.html#Period."""

    start: str | None = None
    end: str | None = None


class Quantity(Element):
    """https://hl7.org/fhir/R4/datatypes.html#Quantity."""

    value: float | None = None
    comparator: str | None = None
    unit: str | None = None
    code: str | None = None
    system: Unread = None


class Range(Element):
    """https://hl7.org/fhir/R4/datatypes.html#Range."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Element):
    """https://hl7.org/fhir/R4/datatypes.html#Ratio."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Extension(Element):
    """An extension, with the values that US Core's race, ethnicity and birth sex use."""

    url: str | None = None
    extension: list["Extension"] = []
    value_coding: Coding | None = None
    value_code: str | None = None
    value_string: Unread = None
    value_boolean: Unread = None
    value_decimal: Unread = None
