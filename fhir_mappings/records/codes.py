"""Codes as ``SYSTEM|code``: one spelling for what records spell in many ways.

A short system name makes a code readable in a report and cheap to compare. ICD codes lose their
dot, because half of all exports leave it out. HL7's own code systems keep the last segment of
their address; every other system keeps its address, so that nothing is ever mistaken for another.
"""

from fhir_mappings.records.datatypes import CodeableConcept

SYSTEMS = {
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "http://hl7.org/fhir/sid/icd-10-pcs": "ICD10PCS",
    "http://www.cms.gov/Medicare/Coding/ICD9": "ICD9PROC",
    "http://hl7.org/fhir/sid/icd-9-cm/procedure": "ICD9PROC",
    "http://snomed.info/sct": "SNOMED",
    "http://loinc.org": "LOINC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RXNORM",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://www.ama-assn.org/go/cpt": "CPT",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "http://www.whocc.no/atc": "ATC",
    "http://www.nubc.org/patient-discharge": "NUBC",
    "https://www.nubc.org/CodeSystem/PatDischargeStatus": "NUBC",
    "https://www.nubc.org/CodeSystem/PointOfOrigin": "NUBC-origin",
    "https://www.nubc.org/CodeSystem/PriorityTypeOfAdmitOrVisit": "NUBC-priority",
    "https://nahdo.org/sopt": "SOP",
    "urn:oid:2.16.840.1.113883.3.221.5": "SOP",
    "urn:oid:2.16.840.1.113883.6.90": "ICD10CM",
    "urn:oid:2.16.840.1.113883.6.103": "ICD9CM",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED",
    "urn:oid:2.16.840.1.113883.6.1": "LOINC",
    "urn:oid:2.16.840.1.113883.6.88": "RXNORM",
    "urn:oid:2.16.840.1.113883.6.12": "CPT",
}
"""Addresses of code systems as FHIR R4 (terminologies-systems.html) and US Core give them."""

_HL7 = ("http://terminology.hl7.org/CodeSystem/", "http://hl7.org/fhir/")
_DOTLESS = frozenset({"ICD10CM", "ICD9CM", "ICD10PCS", "ICD9PROC"})


REMEMBERED = 500_000
"""How many spellings are remembered: free text counts as a code, and must not fill memory."""


class Coder:
    """Spells codes, with a site's own systems taken into account, and remembers each spelling.

    Args:
        systems: the site's addresses, each with the short name of the system that it really is.

    """

    def __init__(self, systems: dict[str, str] | None = None) -> None:
        self._systems = SYSTEMS | (systems or {})
        self._spelled: dict[tuple[str | None, str], str] = {}
        self.displays: dict[str, str] = {}
        """What a code system calls each code, as the first record that says so has it."""

    def spell(self, system: str | None, code: str, display: str | None = None) -> str:
        """``SYSTEM|code`` for one coding."""
        key = (system, code)
        spelled = self._spelled.get(key)
        if spelled is None:
            spelled = self._spell(system, code)
            if len(self._spelled) >= REMEMBERED:
                self._spelled.clear()
            self._spelled[key] = spelled
        if display and system is not None and len(self.displays) < REMEMBERED:
            self.displays.setdefault(spelled, display)
        return spelled

    def _spell(self, system: str | None, code: str) -> str:
        if system is None:
            return f"text|{_plain(code)}"
        name = self._systems.get(system)
        if name is None:
            name = system.rstrip("/").rsplit("/", 1)[-1] if system.startswith(_HL7) else system
        if name in _DOTLESS:
            return f"{name}|{code.replace('.', '').strip().upper()}"
        return f"{name}|{code.strip()}"

    def codes(self, concept: CodeableConcept | None) -> list[str]:
        """Every coding of a CodeableConcept, in its order; its text only where it has no coding."""
        if concept is None:
            return []
        spelled, displays = self._spelled, self.displays
        codes = []
        for coding in concept.coding:
            if coding.code:
                code = spelled.get((coding.system, coding.code))
                if code is None or (coding.display and code not in displays):
                    code = self.spell(coding.system, coding.code, coding.display)
                codes.append(code)
        if not codes and concept.text:
            return [f"text|{_plain(concept.text)}"]
        return codes


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
