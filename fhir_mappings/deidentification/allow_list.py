"""The allow-list: which elements of which resources are kept, and how each is treated."""

from enum import StrEnum
from functools import cache
from typing import NamedTuple

from fhir_mappings.deidentification.data_files import rows
from fhir_mappings.errors import DeclarationError


class Treatment(StrEnum):
    """What may be done with an element. Each takes what it recognises; anything else is dropped."""

    PSEUDONYM = "pseudonym"
    """An id: a keyed name instead."""
    PATIENT = "patient"
    """The reference to the patient whom the resource is about."""
    REFERENCE = "reference"
    """A reference, with a keyed name for the id and nothing else of it."""
    NAMED_REFERENCE = "named-reference"
    """The same, with its display where that is a word of the concept tables (``Medicare``)."""
    CONTAINED = "contained"
    """Contained resources, each by the allow-list of its own type."""
    DATE = "date"
    """A date or time by which something had happened."""
    PLANNED_DATE = "planned-date"
    """A date or time that may lie ahead; it says nothing of how old anybody became."""
    CALENDAR_DATE = "calendar-date"
    """A date that follows the calendar and not the patient: insurance begins on the first of
    January. Moved by some weeks it would tell by how many; never more than its year is told."""
    INSTANT = "instant"
    """A FHIR instant: it has no year alone, and is dropped where dates become years."""
    BIRTH_DATE = "birth-date"
    ZIP3 = "zip3"
    """An address, of which the area of the first three digits of the zip code is left."""
    CODING = "coding"
    """System and code of a public code system, without display."""
    CONCEPT = "concept"
    """The codings of a CodeableConcept, without text."""
    SERVICE = "service"
    """The same; of a local code no more than whether it names a psychiatric service, which is all
    that the cohort asks of it (``fhir_mappings.eligibility``)."""
    DRUG_IDENTIFIER = "drug-identifier"
    """Identifiers of a drug that the site profile trusts, and whose values it names."""
    DEMOGRAPHICS = "demographics"
    """The US Core extensions of race and ethnicity (OMB categories alone) and birth sex."""
    QUANTITY = "quantity"
    """A number with a known unit; ages over 89 are pooled."""
    WHOLE_NUMBER = "whole-number"
    BOOLEAN = "boolean"
    ONE_OF = "one-of"
    """A code, if it is one of these."""


class Rule(NamedTuple):
    """How one element is treated."""

    path: str
    """``Patient.birthDate``: how a report names it."""
    treatment: Treatment
    of: tuple[str, ...]
    """The words of ``one-of``, or the types that a reference may name."""


Branch = dict[str, "Rule | Branch"]
"""Elements by name; what lies below an element is a branch."""


@cache
def allow_list() -> dict[str, Branch]:
    """What is kept of each resource type.

    Raises:
        DeclarationError: if a treatment is unknown, or an element is listed with what lies below.
    """
    listed: dict[str, Branch] = {}
    for row in rows("allow_list.csv"):
        path = row["element"]
        try:
            treatment = Treatment(row["treatment"])
        except ValueError:
            raise DeclarationError(f"allow_list.csv: {path}: no such treatment") from None
        resource_type, *above, last = path.split(".")
        branch = listed.setdefault(resource_type, {})
        for name in above:
            below = branch.setdefault(name, {})
            if isinstance(below, Rule):
                raise DeclarationError(f"allow_list.csv: {path}: {name} is listed itself")
            branch = below
        if last in branch:
            raise DeclarationError(f"allow_list.csv: {path}: listed twice")
        branch[last] = Rule(path, treatment, tuple(row["of"].split()))
    return listed


def only(branch: Branch, treatments: frozenset[Treatment]) -> Branch:
    """The part of a branch that leads to elements with these treatments."""
    found: Branch = {}
    for name, below in branch.items():
        if isinstance(below, Rule):
            if below.treatment in treatments:
                found[name] = below
        elif part := only(below, treatments):
            found[name] = part
    return found
