"""The clinical group of a stay: what it was mainly for, in words that a care manager filters by.

A group is a few diagnosis groups (CCSR of ICD-10-CM, CCS of ICD-9-CM; AHRQ, HCUP) and concepts of
the house, by which other code systems and a site's own codes come in. Only the principal diagnosis
is looked at: a heart failure patient with pneumonia is here for the pneumonia.
"""

from typing import Final

from fhir_mappings.eligibility import principal_codes
from fhir_mappings.features.engine import View

OTHER: Final = "other"
"""The principal diagnosis is known and belongs to none of the groups."""

CONDITION_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "heart failure": ("ccsr.CIR019", "ccs.108", "charlson.congestive_heart_failure"),
    "heart attack": ("ccsr.CIR009", "ccs.100", "charlson.myocardial_infarction"),
    "arrhythmia": ("ccsr.CIR017", "ccs.106"),
    "stroke": ("ccsr.CIR020", "ccsr.CIR021", "ccs.109"),
    "pulmonary embolism": ("ccsr.CIR013",),
    "COPD": ("ccsr.RSP008", "ccs.127"),
    "pneumonia": ("ccsr.RSP002", "ccs.122"),
    "respiratory failure": ("ccsr.RSP012", "ccs.131"),
    "sepsis": ("ccsr.INF002", "ccs.2"),
    "urinary tract infection": ("ccsr.GEN004", "ccs.159"),
    "skin infection": ("ccsr.SKN001", "ccs.197"),
    "kidney failure": (
        "ccsr.GEN002",
        "ccsr.GEN003",
        "ccs.157",
        "ccs.158",
        "charlson.renal_disease",
    ),
    "diabetes": (
        "ccsr.END002",
        "ccsr.END003",
        "ccs.49",
        "ccs.50",
        "charlson.diabetes_without_complication",
        "charlson.diabetes_with_complication",
    ),
    "gastrointestinal bleeding": ("ccsr.DIG021", "ccs.153"),
    "liver disease": (
        "ccsr.DIG019",
        "ccs.151",
        "charlson.mild_liver_disease",
        "charlson.moderate_severe_liver_disease",
    ),
    "cancer": ("charlson.malignancy", "charlson.metastatic_tumour", "cancer.any"),
    "hip fracture": ("ccsr.INJ006", "ccs.226"),
    "dementia": ("ccsr.NVS011", "charlson.dementia"),
}
"""Each group with the concepts that make it. Of several that fit, the first counts."""


def condition_group(view: View) -> str | None:
    """The group of a stay's principal diagnosis; None where the record names no principal one.

    While a patient is in hospital it is the reason for the encounter, where that is on record.
    """
    codes = principal_codes(view)
    if not codes:
        return None
    concepts = {concept for code in codes for concept in view.timeline.concepts.of(code)}
    for group, members in CONDITION_GROUPS.items():
        if not concepts.isdisjoint(members):
            return group
    return OTHER
