"""Site, payer, race and language: read where a record says them, and nowhere else."""

import pytest
from records import by_code, encounter, events, ingested, mapped, ndjson, patient

from fhir_mappings.profiles import load_profile

HL7 = "http://terminology.hl7.org/CodeSystem/"
RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"


def coverage(**elements):
    return {
        "resourceType": "Coverage",
        "id": "c",
        "status": "active",
        "beneficiary": {"reference": "Patient/ada"},
        "period": {"start": "2024-01-01"},
    } | elements


def payer(**elements):
    return [event.code.partition("|")[2] for event in events(coverage(**elements))]


def coded(system, code):
    return {"coding": [{"system": system, "code": code}]}


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"type": coded("https://nahdo.org/sopt", "111")}, "medicare"),
        ({"type": coded("urn:oid:2.16.840.1.113883.3.221.5", "2")}, "medicaid"),
        ({"type": coded(HL7 + "v3-ActCode", "HMO")}, "private"),
        ({"type": coded(HL7 + "coverage-selfpay", "pay")}, "self_pay"),
        ({"type": {"text": "Medicare Advantage"}}, "medicare"),
        ({"payor": [{"display": "NO_INSURANCE"}]}, "self_pay"),
        ({"payor": [{"reference": "RelatedPerson/mother"}]}, "self_pay"),
        ({"type": coded("http://local.example", "77"), "payor": [{"display": "Aetna"}]}, "private"),
        ({"type": {"text": "Testwood Mutual"}}, "other"),
    ],
)  # fmt: skip
def test_payer_is_told_by_type_then_by_the_payors_name(elements, expected):
    assert payer(**elements) == [expected]


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"payor": [{"reference": "Organization/mutual"}]},
        {"type": {"text": "Medicare"}, "status": "cancelled"},
        {"type": {"text": "Medicare"}, "status": "draft"},
    ],
)
def test_coverage_that_names_no_payer_or_never_held_leaves_nothing(elements):
    assert payer(**elements) == []


def test_a_payer_is_known_from_its_start_and_holds_to_the_end_of_its_last_day():
    (event,) = events(
        coverage(type={"text": "Medicaid"}, period={"start": "2024-01-01", "end": "2024-03-31"})
    )
    (start,) = events(encounter("a", -60, None))[:1]
    (end,) = events(encounter("b", 31, None))[:1]
    assert event.time == start.time
    assert event.known_at >= event.time
    assert event.end == end.time - 1


def test_coverage_without_a_beneficiary_is_refused_by_the_name_of_that_element(tmp_path):
    lines = ndjson(patient(), coverage(beneficiary=None, type={"text": "Medicare"}))
    assert ingested(tmp_path / "store", ("a.ndjson", lines)).rejected == 1
    assert "Coverage.beneficiary" in (tmp_path / "store" / "rejects.csv").read_text()


def test_coverage_is_counted_among_what_is_mapped(tmp_path):
    lines = ndjson(patient(), coverage(type={"text": "Medicare"}), coverage() | {"id": "d"})
    counts = ingested(tmp_path / "store", ("a.ndjson", lines)).by_type["Coverage"]
    assert (counts.resources, counts.mapped, counts.without_events) == (2, 1, 1)


@pytest.mark.parametrize(
    ("provider", "site"),
    [
        ({"reference": "Organization/7", "display": "North"}, "7"),
        ({"reference": "https://ehr.example/fhir/Organization/7"}, "7"),
        ({"display": "North"}, "North"),
        ({"identifier": {"value": "123"}}, None),
        (None, None),
    ],
)
def test_site_is_the_organizations_id_or_else_its_words(provider, site):
    found = by_code(events(encounter("a", 0, 1, serviceProvider=provider)))
    assert [code for code in found if code.startswith("readmit/site|")] == (
        [f"readmit/site|{site}"] if site else []
    )


def test_a_profile_names_sites_and_joins_departments():
    profile = load_profile("clinosim")
    assert profile.site_name("dept-cardiology") == profile.site_name("dept-surgery")
    assert profile.site_name("elsewhere") == "elsewhere"
    assert load_profile("simulated").site_name("sim-north") == "North"


def test_every_category_of_race_is_kept():
    parts = [{"url": "ombCategory", "valueCoding": {"code": code}} for code in ("2054-5", "2106-3")]
    found, questionable = mapped(patient(extension=[{"url": RACE, "extension": parts}]))
    assert {"readmit/race|2054-5", "readmit/race|2106-3"} <= set(by_code(found))
    assert not questionable


def test_the_preferred_language_is_marked():
    spoken = [
        {"language": {"coding": [{"code": "cy"}]}, "preferred": True},
        {"language": {"coding": [{"code": "en"}]}, "preferred": False},
    ]
    found = by_code(events(patient(communication=spoken)))
    assert found["readmit/language|cy"].text == "preferred"
    assert found["readmit/language|en"].text is None
