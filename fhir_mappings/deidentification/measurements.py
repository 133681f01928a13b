"""Numbers: measured values with a known unit, and ages, of which those over 89 are pooled."""

import math
from functools import cache
from typing import Any, Final, TypeGuard

from fhir_mappings.concepts.units import load_units
from fhir_mappings.deidentification.data_files import column

POOLED_AGE: Final = 90
"""Ages over 89 are one category, 90 or older (45 CFR 164.514(b)(2)(i)(C))."""

_YEARS_IN: Final = {
    "a": 1.0, "year": 1.0, "years": 1.0,
    "mo": 1 / 12, "month": 1 / 12, "months": 1 / 12,
    "wk": 7 / 365.25, "week": 7 / 365.25, "weeks": 7 / 365.25,
    "d": 1 / 365.25, "day": 1 / 365.25, "days": 1 / 365.25,
}  # fmt: skip
_COMPARATORS = ("<", "<=", ">=", ">")

LARGEST_BARE: Final = 999_999
"""A number without a unit that is larger may be a record number; results without one are small."""
LARGEST: Final = 99_999_999
"""The same with a unit: nine digits are a social security number, and counts of cells or viruses
seldom reach them."""


_UCUM = "http://unitsofmeasure.org"
POOLED: Final = {"value": POOLED_AGE, "unit": "years", "system": _UCUM, "code": "a"}
"""What every age over 89 becomes."""


def quantity(value: Any, *, is_age: bool = False) -> dict[str, Any] | None:
    """A Quantity of number, comparator and unit; ``POOLED`` where it is an age over 89.

    Any length of time of 90 years or more is taken for an age.

    Args:
        value: as in the record.
        is_age: whether the record says that it is an age, whatever its unit.

    Returns:
        None for what is no number, whose unit is not known, or that is too large to be a result.
    """
    if not isinstance(value, dict):
        return None
    number, unit = value.get("value"), _unit(value)
    if unit is None or not _is_number(number) or abs(number) > (LARGEST if unit else LARGEST_BARE):
        return None
    years = _YEARS_IN.get(unit.get("code") or unit.get("unit", ""), 1.0 if is_age else 0.0)
    if number * years >= POOLED_AGE:
        return dict(POOLED)
    kept: dict[str, Any] = {"value": number}
    if value.get("comparator") in _COMPARATORS:
        kept["comparator"] = value["comparator"]
    return kept | unit


def whole_number(value: Any, *, is_age: bool = False) -> int | None:
    """An integer small enough to be a result or a rank; an age over 89 is 90."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST_BARE:
        return None
    return min(value, POOLED_AGE) if is_age else value


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unit(quantity: dict[str, Any]) -> dict[str, str] | None:
    """The unit as code or word; empty where the record has none, None where it is not known."""
    code, word = quantity.get("code"), quantity.get("unit")
    if code is None and word is None:
        return {}
    if isinstance(code, str) and code in _units():
        return {"system": _UCUM, "code": code}
    if isinstance(word, str) and word in _units():
        return {"unit": word}
    return None


@cache
def _units() -> frozenset[str]:
    """Every unit that a table of ours names, in UCUM or a usual spelling."""
    units = load_units()
    measured = {unit for _, unit in units.conversions}
    return frozenset(measured).union(units.spellings, column("units.csv", "unit"))
