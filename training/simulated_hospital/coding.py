"""The fixed parts of the simulated records: systems, categories, concepts.

They are built once and shared by all records that use them; whoever changes one copies it first.
"""

from typing import Any, Final

Json = dict[str, Any]
"""A FHIR resource or element as JSON."""

LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"
ICD10CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM: Final = "http://unitsofmeasure.org"
NUBC: Final = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SOP: Final = "https://nahdo.org/sopt"
HL7: Final = "http://terminology.hl7.org/CodeSystem/"
LOCAL_LABORATORY: Final = "https://simulated-hospital.example/laboratory"
US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
RACE_SYSTEM: Final = "urn:oid:2.16.840.1.113883.6.238"


def concept(system: str, code: str, display: str, text: str | None = None) -> Json:
    """Return a CodeableConcept of one coding."""
    coded: Json = {"coding": [{"system": system, "code": code, "display": display}]}
    if text is not None:
        coded["text"] = text
    return coded


def hl7(system: str, code: str) -> Json:
    """Return a CodeableConcept of one of HL7's own terminologies."""
    return {"coding": [{"system": HL7 + system, "code": code}]}


LABORATORY: Final = [hl7("observation-category", "laboratory")]
VITAL_SIGNS: Final = [hl7("observation-category", "vital-signs")]
SOCIAL_HISTORY: Final = [hl7("observation-category", "social-history")]
ENCOUNTER_DIAGNOSIS: Final = [hl7("condition-category", "encounter-diagnosis")]
PROBLEM_LIST_ITEM: Final = [hl7("condition-category", "problem-list-item")]
ACTIVE: Final = hl7("condition-clinical", "active")
CONFIRMED: Final = hl7("condition-ver-status", "confirmed")
REFUTED: Final = hl7("condition-ver-status", "refuted")
INPATIENT_ORDER: Final = [hl7("medicationrequest-category", "inpatient")]
DISCHARGE_ORDER: Final = [hl7("medicationrequest-category", "discharge")]
UNKNOWN_VALUE: Final = hl7("data-absent-reason", "unknown")

CLASSES: Final[dict[str, Json]] = {
    code: {"system": ACT, "code": code, "display": display}
    for code, display in (
        ("IMP", "inpatient encounter"),
        ("EMER", "emergency"),
        ("AMB", "ambulatory"),
        ("OBSENC", "observation encounter"),
    )
}
TYPES: Final[dict[str, list[Json]]] = {
    "IMP": [concept(SNOMED, "32485007", "Hospital admission")],
    "EMER": [concept(SNOMED, "50849002", "Emergency room admission")],
    "AMB": [concept(SNOMED, "185349003", "Encounter for check up")],
    "OBSENC": [{"text": "Observation stay"}],
}
PRIORITIES: Final = {code: hl7("v3-ActPriority", code) for code in ("EM", "UR", "EL", "R")}
ADMIT_SOURCES: Final = {
    "emergency": hl7("admit-source", "emd"),
    "physician": hl7("admit-source", "gp"),
    "transfer": hl7("admit-source", "hosp-trans"),
    "born": hl7("admit-source", "born"),
    "outpatient": hl7("admit-source", "outp"),
}
_HOME_CARE = concept(NUBC, "06", "Home under care of an organized home health service")
DISPOSITIONS: Final[dict[str, tuple[Json, ...]]] = {
    "home": (hl7("discharge-disposition", "home"), concept(NUBC, "01", "Home")),
    # HL7's own dispositions have no code for home health care; only the NUBC's have.
    "home_care": (_HOME_CARE, _HOME_CARE),
    "skilled_nursing": (hl7("discharge-disposition", "snf"), concept(NUBC, "03", "SNF")),
    "rehabilitation": (hl7("discharge-disposition", "rehab"), concept(NUBC, "62", "IRF")),
    "long_term": (hl7("discharge-disposition", "long"), concept(NUBC, "63", "LTCH")),
    "transfer": (
        hl7("discharge-disposition", "other-hcf"),
        concept(NUBC, "02", "Short-term general hospital"),
    ),
    "against_advice": (hl7("discharge-disposition", "aadvice"), concept(NUBC, "07", "Left AMA")),
    "expired": (hl7("discharge-disposition", "exp"), concept(NUBC, "20", "Expired")),
}
ROLES: Final = {code: hl7("diagnosis-role", code) for code in ("AD", "DD", "CC", "CM")}
COVERAGE_TYPES: Final = {
    "Medicare": concept(SOP, "1", "Medicare"),
    "Medicaid": concept(SOP, "2", "Medicaid"),
    "private": concept(SOP, "5", "Private health insurance"),
    "none": hl7("coverage-selfpay", "pay"),
}
INTENSIVE_CARE: Final = {"display": "Intensive care unit"}


def quantity(value: float, unit: str) -> Json:
    """Return a Quantity with its UCUM unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def reference(kind: str, name: str) -> Json:
    """Return a Reference to a resource on the same server."""
    return {"reference": f"{kind}/{name}"}
