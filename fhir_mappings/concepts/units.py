"""Units: a measured value in the one unit that its concept is reported in, or no value at all.

A number whose unit is missing or unknown is not a measurement: 5 may be mmol/L or mg/dL of the
same analyte. Nothing is guessed from the size of the number.
"""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from fhir_mappings.concepts.table_files import read_table
from fhir_mappings.errors import DeclarationError


class Conversion(NamedTuple):
    """``value * factor + offset`` is the value in the canonical unit."""

    factor: float
    offset: float


class Limits(NamedTuple):
    """What a living patient can have, in the canonical unit, ends included."""

    low: float
    high: float


class Units:
    """Conversions and limits of every measured concept."""

    def __init__(
        self,
        canonical: Mapping[str, str],
        conversions: Mapping[tuple[str, str], Conversion],
        spellings: Mapping[str, str],
        limits: Mapping[str, Limits],
    ) -> None:
        self.canonical = canonical
        """The canonical unit of each concept, a UCUM code."""
        self.conversions = conversions
        """How each unit of each concept becomes the canonical one."""
        self.spellings = spellings
        """Usual spellings of units, each with its UCUM code."""
        self.limits = limits
        """What is plausible of each concept."""

    def conversion(self, concept: str, unit: str | None) -> Conversion | None:
        """How a unit, in UCUM or a usual spelling, becomes the canonical one; None if unknown."""
        if unit is None:
            return None
        known = self.conversions.get((concept, unit))
        if known is None and (spelt := self.spellings.get(unit)) is not None:
            return self.conversions.get((concept, spelt))
        return known

    def convert(self, concept: str, value: float, unit: str | None) -> float | None:
        """The value in the canonical unit; None where that cannot be said or cannot be true."""
        conversion = self.conversion(concept, unit)
        if conversion is None or not math.isfinite(value):
            return None
        converted = value * conversion.factor + conversion.offset
        limits = self.limits.get(concept)
        if limits is not None and not limits.low <= converted <= limits.high:
            return None
        return converted


def load_units() -> Units:
    """Read ``units.csv``, ``unit_spellings.csv`` and ``limits.csv``.

    Raises:
        DeclarationError: a concept's first unit is not its canonical one (factor 1, offset 0), or
            a number is none.

    """
    canonical: dict[str, str] = {}
    conversions: dict[tuple[str, str], Conversion] = {}
    for line, row in read_table("units.csv").rows:
        concept, unit = row["concept"], row["unit"]
        factor, offset = _numbers("units.csv", line, (row["factor"], row["offset"]))
        if concept not in canonical:
            if (factor, offset) != (1.0, 0.0):
                raise DeclarationError(f"units.csv, line {line}: the first unit is the canonical")
            canonical[concept] = unit
        conversions[concept, unit] = Conversion(factor, offset)
    spellings = {row["spelling"]: row["unit"] for _, row in read_table("unit_spellings.csv").rows}
    limits = {
        row["concept"]: Limits(*_numbers("limits.csv", line, (row["low"], row["high"])))
        for line, row in read_table("limits.csv").rows
    }
    return Units(canonical, conversions, spellings, limits)


def _numbers(table: str, line: int, cells: Iterable[str]) -> list[float]:
    """Numbers of a row; fractions (``5/9``) keep a conversion exact."""
    try:
        return [float(Fraction(cell)) for cell in cells]
    except (ValueError, ZeroDivisionError) as error:
        raise DeclarationError(f"{table}, line {line}: not a number") from error
