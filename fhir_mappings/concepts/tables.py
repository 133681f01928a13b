"""Concept tables: from a code to every concept that it belongs to, and back to words."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from fhir_mappings.concepts.classifications import (
    FAMILIES,
    diagnosis_groups,
    group_concept,
    group_concepts,
)
from fhir_mappings.concepts.units import Units
from fhir_mappings.errors import DeclarationError

REMEMBERED_CODES = 500_000
"""How many codes are remembered. Beyond it they are looked up each time: free text counts as a
code, and a long-running service would otherwise keep every phrase that it has ever been sent."""


class ConceptTables:
    """Which codes mean what, in which unit, and how that is said.

    Args:
        codes: concept and code, ``("lab.sodium", "LOINC|2951-2")``; a code that ends in ``*``
            stands for every code that begins so. ``CCSR|...`` and ``CCS|...`` stand for the
            diagnoses of that group.
        units: conversions and limits of the measured concepts.
        names: what a clinician reads, for concepts whose own name does not say it.

    Raises:
        DeclarationError: a code is not ``SYSTEM|code``.

    """

    def __init__(
        self, codes: Iterable[tuple[str, str]], units: Units, names: Mapping[str, str]
    ) -> None:
        self._codes = tuple(codes)
        self._units = units
        self._display = names
        self._exact: dict[str, list[str]] = {}
        self._prefixes: dict[str, list[str]] = {}
        lengths: dict[str, set[int]] = {}
        for concept, code in self._codes:
            system, bare = _parts(code)
            if bare.endswith("*"):
                prefix = code[:-1]
                self._prefixes.setdefault(prefix, []).append(concept)
                lengths.setdefault(system, set()).add(len(prefix))
            else:
                self._exact.setdefault(code, []).append(concept)
        self._lengths = {system: sorted(found) for system, found in lengths.items()}
        self.memo: dict[str, tuple[str, ...]] = _Memo(self)
        """Every code asked about so far. ``memo[code]`` is ``of(code)`` without the call, for
        loops over millions of events; codes not seen before are looked up on the way."""

    def of(self, code: str) -> tuple[str, ...]:
        """Every concept of a code, exact matches first; none for a code that no table knows."""
        return self.memo[code]

    def convert(self, concept: str, value: float, unit: str | None) -> float | None:
        """The value in the concept's canonical unit.

        None where the unit is missing or unknown for this concept, where the concept is not
        measured, and where the result lies outside what a living patient can have.
        """
        return self._units.convert(concept, value, unit)

    def accepts(self, concept: str, unit: str | None) -> bool:
        """Whether values in this unit can be converted for this concept."""
        return self._units.conversion(concept, unit) is not None

    def canonical_unit(self, concept: str) -> str | None:
        """The UCUM unit that a concept's values are in; None for what is not measured."""
        return self._units.canonical.get(concept)

    def names(self) -> tuple[str, ...]:
        """Every concept there is, in alphabetical order, diagnosis groups included."""
        return tuple(sorted(self._own_names.union(group_concepts())))

    def family(self, name: str) -> tuple[str, ...]:
        """The concepts below ``charlson.*`` in alphabetical order; none for an unknown family."""
        prefix = f"{name.removesuffix('*').removesuffix('.')}."
        known = self.names() if prefix[:-1] in FAMILIES else self._own_names
        return tuple(sorted(concept for concept in known if concept.startswith(prefix)))

    def display(self, concept: str) -> str:
        """What a clinician reads: ``congestive heart failure``."""
        known = self._display.get(concept)
        if known is not None:
            return known
        family, _, last = concept.rpartition(".")
        if family in FAMILIES:
            return f"diagnosis group {family.upper()} {last}"
        return last.replace("_", " ")

    def with_site_codes(self, extra: Mapping[str, Sequence[str]]) -> "ConceptTables":
        """These tables with a site's own codes added to existing concepts.

        Raises:
            DeclarationError: a concept is unknown (a site gives codes, it invents no concepts), or
                a code is not ``SYSTEM|code``.

        """
        for concept in extra:
            known = self.names() if concept.startswith(_GROUPED) else self._own_names
            if concept not in known:
                raise DeclarationError(f"there is no concept '{concept}' to add site codes to")
        added = [(concept, code) for concept, codes in extra.items() for code in codes]
        return ConceptTables((*self._codes, *added), self._units, self._display)

    @cached_property
    def _own_names(self) -> frozenset[str]:
        return frozenset(concept for concept, _ in self._codes)

    def _find(self, code: str) -> tuple[str, ...]:
        found = self._listed(code)
        for group in diagnosis_groups(code):
            found += [group_concept(group), *self._listed(group)]
        return tuple(dict.fromkeys(found))

    def _listed(self, code: str) -> list[str]:
        """Concepts that the tables give for a code: exact, then the longest prefix first."""
        found = list(self._exact.get(code, ()))
        system = code.partition("|")[0]
        for length in reversed(self._lengths.get(system, ())):
            if length <= len(code):
                found += self._prefixes.get(code[:length], ())
        return found


class _Memo(dict[str, tuple[str, ...]]):
    """Codes asked about so far, each with its concepts; a new one is looked up when asked for."""

    def __init__(self, tables: ConceptTables) -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, code: str) -> tuple[str, ...]:
        found = self._tables._find(code)
        if len(self) < REMEMBERED_CODES:
            self[code] = found
        return found


_GROUPED = tuple(f"{family}." for family in FAMILIES)


def _parts(code: str) -> tuple[str, str]:
    system, separator, bare = code.partition("|")
    if not system or not separator or not bare.removesuffix("*"):
        raise DeclarationError(f"'{code}' is not SYSTEM|code, nor SYSTEM|prefix*")
    return system, bare
