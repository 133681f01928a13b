"""Codes: one spelling for what records spell in many ways."""

import pytest

from fhir_mappings.records.codes import SYSTEMS, Coder
from fhir_mappings.records.datatypes import CodeableConcept, Coding


@pytest.mark.parametrize(
    ("system", "code", "spelled"),
    [
        ("http://hl7.org/fhir/sid/icd-10-cm", "I50.9", "ICD10CM|I509"),
        ("http://hl7.org/fhir/sid/icd-10-cm", " i50.9 ", "ICD10CM|I509"),
        ("http://hl7.org/fhir/sid/icd-9-cm", "428.0", "ICD9CM|4280"),
        ("http://www.cms.gov/Medicare/Coding/ICD10", "0fb44zx", "ICD10PCS|0FB44ZX"),
        ("http://snomed.info/sct", "84114007", "SNOMED|84114007"),
        ("http://loinc.org", "2951-2", "LOINC|2951-2"),
        ("http://www.whocc.no/atc", "C03CA01", "ATC|C03CA01"),
        ("urn:oid:2.16.840.1.113883.6.90", "I50.9", "ICD10CM|I509"),
        (
            "http://terminology.hl7.org/CodeSystem/discharge-disposition",
            "home",
            "discharge-disposition|home",
        ),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "IMP", "v3-ActCode|IMP"),
        ("https://ehr.example/codes", "A.1", "https://ehr.example/codes|A.1"),
        (None, "Chest  Pain", "text|chest pain"),
    ],
)
def test_spelling_of_a_coding(system, code, spelled):
    assert Coder().spell(system, code) == spelled


def test_every_short_name_is_free_of_the_separator():
    assert not any("|" in name for name in SYSTEMS.values())


def test_local_system_is_what_the_site_says_it_is():
    coder = Coder({"urn:site:icd": "ICD10CM"})
    assert coder.spell("urn:site:icd", "e11.9") == "ICD10CM|E119"


def test_every_coding_counts_and_text_only_where_there_is_none():
    coder = Coder()
    both = CodeableConcept(
        coding=[Coding("http://loinc.org", "1"), Coding("urn:x", None), Coding("urn:x", "2")],
        text="Sodium",
    )
    assert coder.codes(both) == ["LOINC|1", "urn:x|2"]
    assert coder.codes(CodeableConcept(text=" Short of\nBREATH ")) == ["text|short of breath"]
    assert coder.codes(CodeableConcept()) == []
    assert coder.codes(None) == []


def test_first_display_of_a_code_is_remembered():
    coder = Coder()
    coder.spell("http://loinc.org", "2951-2", "Sodium")
    coder.spell("http://loinc.org", "2951-2", "Natrium")
    assert coder.displays == {"LOINC|2951-2": "Sodium"}


def test_text_given_as_a_code_is_not_a_display():
    coder = Coder()
    coder.spell(None, "some words", "some words")
    assert coder.displays == {}
