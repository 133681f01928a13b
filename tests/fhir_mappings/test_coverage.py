"""The coverage report: what of an export is understood."""

import msgspec
import pytest
from records import (
    concept,
    condition,
    encounter,
    feature,
    ingested,
    lab,
    ndjson,
    order,
    patient,
    urgency,
)

from fhir_mappings.concepts import load_concepts
from fhir_mappings.coverage import coverage
from fhir_mappings.store import open_store

STRANGE = {
    "coding": [{"system": "urn:ward", "code": "X", "display": "Strange test"}],
}
FEATURES = [
    feature("latest", "lab.sodium"),
    feature("latest", "lab.potassium"),
    feature("count", "charlson.*"),
    feature("count", "cancer.*"),
    feature("count", "stays.emergency"),
    feature("count", "stays.inpatient"),
    feature("stay", "urgent"),
]


@pytest.fixture
def report(tmp_path):
    lines = ndjson(
        patient("ada"),
        patient("bob"),
        encounter("e", 0, 4, priority=concept("urn:ward", "SOON")),
        encounter("f", 9, 12, priority=urgency("EM")),
        lab("a", 1),
        lab("b", 2, unit="grains"),
        lab("c", 2, unit=""),
        lab("d", 3, code=STRANGE),
        lab("x", 3, code=STRANGE, who="bob"),
        condition("c", "I50.9", stay="e"),
        order("m", 1, "0000"),
        lab("absurd", 0, effectiveDateTime="9999"),
    )
    ingested(tmp_path / "store", ("a.ndjson", lines + b"rubbish\n"))
    with open_store(tmp_path / "store") as store:
        named = [msgspec.structs.replace(each, name=each.of) for each in FEATURES]
        return coverage(store, load_concepts(), named)


def test_totals_are_those_of_the_store(report):
    assert (report.profile, report.patients, report.rejected) == ("default", 2, 1)
    assert {each.resource_type: each.mapped for each in report.types} == {
        "Condition": 1,
        "Encounter": 2,
        "MedicationRequest": 1,
        "Observation": 6,
        "Patient": 2,
    }
    assert sum(report.encounters.values()) == 2
    assert report.questionable == {"Observation.effective: no FHIR date, or an absurd year": 1}


def test_share_of_known_codes_is_told_by_kind_of_record(report):
    kinds = {
        each.kind: (each.events, each.known, each.codes, each.known_codes) for each in report.kinds
    }
    assert kinds["observation"] == (6, 4, 2, 1)
    assert kinds["diagnosis"] == (1, 1, 1, 1)
    assert kinds["medication-order"] == (1, 0, 1, 0)
    assert "patient" not in kinds


def test_most_frequent_unknown_codes_come_with_their_names(report):
    first = report.unknown_codes[0]
    assert (first.code, first.display, first.events, first.patients) == (
        "urn:ward|X",
        "Strange test",
        2,
        2,
    )
    assert {each.code for each in report.unknown_codes} == {"urn:ward|X", "RXNORM|0000"}


def test_units_that_were_refused_are_listed(report):
    refused = {(each.concept, each.unit, each.events) for each in report.refused_units}
    assert refused == {("lab.sodium", "grains", 1), ("lab.sodium", "", 1)}
    (sodium,) = [each for each in report.concepts if each.concept == "lab.sodium"]
    assert (sodium.events, sodium.refused) == (4, 2)


def test_facets_that_no_table_knows_are_listed_with_the_sites_code(report):
    (unknown,) = report.unknown_facets
    assert (unknown.facet, unknown.code, unknown.events) == ("urgency", "urn:ward|SOON", 1)


def test_features_that_stay_empty_for_everybody_are_named(report):
    assert set(report.empty_features) == {"lab.potassium", "cancer.*", "stays.emergency"}
