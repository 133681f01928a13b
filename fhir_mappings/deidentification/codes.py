"""Codes that anybody may know: those of public code systems, without the words beside them.

A local code can hold anything, a name or a record number among them. It is kept only where the site
profile names it in full: whoever wrote the profile has read it.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fhir_mappings.concepts.table_files import code_tables, read_table
from fhir_mappings.deidentification.data_files import rows
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.codes import SYSTEMS, Coder
from fhir_mappings.records.datatypes import CodeableConcept

_LONGEST = 200
"""What is longer is no code, and is not remembered."""

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"

MASKED: dict[str, Any] = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
"""In place of what was there and may not be told (FHIR R4, valueset-data-absent-reason). A site
profile may ask whether an element is there at all: MIMIC's stays are told by that."""


class PublicCodes:
    """The codes that an export keeps.

    Args:
        profile: the site's; what it calls a local system, and the local codes that it names.
    """

    def __init__(self, profile: SiteProfile) -> None:
        self._coder = Coder(profile.systems)
        self._addresses = SYSTEMS.keys() | profile.systems.keys()
        self._patterns: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {}
        self._listed = {code for codes in profile.concepts.values() for code in codes}
        for name in code_tables():
            self._listed.update(row["code"] for _, row in read_table(name).rows if "code" in row)
        for row in rows("code_systems.csv"):
            system = row["system"]
            if row["pattern"]:
                self._patterns[system] = re.compile(row["pattern"], re.ASCII), _CHECKS[row["check"]]
            self._listed.update(f"{system}|{code}" for code in row["codes"].split())
        self._beginnings = tuple(
            code[:-1] for code in self._listed if code.startswith("text|") and code.endswith("*")
        )
        self._listed = {code for code in self._listed if not code.endswith("*")}
        self._systems = {code.partition("|")[0] for code in self._listed} | self._patterns.keys()
        self._known = lru_cache(maxsize=100_000)(self._look_up)

    def coding(self, coding: Any) -> dict[str, str] | None:
        """System and code; None where the system is not public, or this is none of its codes."""
        if not isinstance(coding, dict):
            return None
        system, code = coding.get("system"), coding.get("code")
        if not isinstance(code, str) or not isinstance(system, str | None):
            return None
        if len(code) > _LONGEST or len(system or "") > _LONGEST:
            return None
        known = self._known(system, code)
        return None if known is None else dict(known)

    def concept(self, concept: Any) -> tuple[dict[str, Any] | None, int]:
        """A CodeableConcept with the codings that are kept, and how many are not."""
        if not isinstance(concept, dict):
            return None, 0
        listed = concept.get("coding")
        codings = listed if isinstance(listed, list) else []
        kept = [known for each in codings if (known := self.coding(each)) is not None]
        if kept:
            return {"coding": kept}, len(codings) - len(kept)
        word = self.word(concept.get("text"))
        return (None if word is None else {"text": word}), len(codings)

    def names_psychiatry(self, concept: dict[str, Any]) -> bool:
        """Whether a code or the text of a concept says so, as eligibility reads it."""
        listed = concept.get("coding")
        codings = listed if isinstance(listed, list) else []
        said = [each.get("code") for each in codings if isinstance(each, dict)]
        return any(
            isinstance(each, str) and "psych" in each.lower()
            for each in (*said, concept.get("text"))
        )

    def word(self, text: Any) -> str | None:
        """The word of the concept tables that a text is, or begins with (``home``, ``medicare``).

        Of ``Medicare, Zebedee's`` the table's ``medicare`` is left.
        """
        if not isinstance(text, str) or len(text) > _LONGEST:
            return None
        (spelled,) = self._coder.codes(CodeableConcept(text=text)) or ("",)
        if spelled in self._listed:
            return spelled.removeprefix("text|")
        fitting = [each for each in self._beginnings if spelled.startswith(each)]
        return max(fitting, key=len).removeprefix("text|") if fitting else None

    def spelled(self, coding: dict[str, str]) -> str:
        """``SYSTEM|code`` of a coding that is kept."""
        return self._coder.spell(coding.get("system"), coding["code"])

    def _look_up(self, system: str | None, code: str) -> dict[str, str] | None:
        spelled = self._coder.spell(system, code)
        name, _, bare = spelled.partition("|")
        if name not in self._systems:
            return None
        pattern, check = self._patterns.get(name, (None, _any))
        if pattern is not None and pattern.fullmatch(code) and check(code):
            bare = code
        elif spelled not in self._listed:
            return None
        if system is None:
            return {"code": bare}
        # HL7's systems are spelled by the end of their address, and before it may stand anything.
        written = system if system in self._addresses or system == name else _TERMINOLOGY + name
        return {"system": written, "code": bare}


def _any(_code: str) -> bool:
    return True


def _luhn(code: str) -> bool:
    """Whether the last digit is the check digit of the others (Mod 10, as LOINC uses it)."""
    total = 0
    for place, digit in enumerate(map(int, reversed(code.replace("-", "")))):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    return total % 10 == 0


_DIHEDRAL = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_TURN = "1576283094"


def _verhoeff(code: str) -> bool:
    """Whether the last digit is the check digit of the others (Verhoeff, as SNOMED CT uses it)."""
    total = 0
    for place, character in enumerate(reversed(code)):
        digit = int(character)
        for _ in range(place % 8):
            digit = int(_TURN[digit])
        total = int(_DIHEDRAL[total][digit])
    return total == 0


_CHECKS = {"": _any, "luhn": _luhn, "verhoeff": _verhoeff}
