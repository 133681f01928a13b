"""The FHIR R4 data types, cut down to the elements that we read.

An element that is not listed here is skipped while decoding, at no cost; one that is listed and
has another JSON type than FHIR gives it makes its resource a reject. Names are FHIR's own.
"""

import msgspec


class _Element(msgspec.Struct, gc=False, rename="camel"):
    """A FHIR element: camelCase in JSON. Cycles cannot occur, so the collector may skip them."""


class Meta(_Element):
    """https://hl7.org/fhir/R4/resource.html#Meta."""

    last_updated: str | None = None


class Coding(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#Coding."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#CodeableConcept."""

    coding: list[Coding] = []
    text: str | None = None


class Reference(_Element):
    """https://hl7.org/fhir/R4/references.html#Reference."""

    reference: str | None = None


class NamedReference(Reference):
    """A reference whose words are read as well: some records name an organization by them alone."""

    display: str | None = None


class Identifier(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#Identifier."""

    system: str | None = None
    value: str | None = None


class Period(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#Period."""

    start: str | None = None
    end: str | None = None


class Quantity(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#Quantity."""

    value: float | None = None
    comparator: str | None = None
    unit: str | None = None
    code: str | None = None


class Range(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#Range."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(_Element):
    """https://hl7.org/fhir/R4/datatypes.html#Ratio."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Extension(_Element):
    """An extension, with the values that US Core's race, ethnicity and birth sex use."""

    url: str | None = None
    extension: list["Extension"] = []
    value_coding: Coding | None = None
    value_code: str | None = None
