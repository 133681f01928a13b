"""Bundles: resources in place, identified by id or by the fullUrl of their entry."""

import pytest
from records import bundle, encode, lab, patient

from fhir_mappings.records.bundles import last_segment, unbundle
from fhir_mappings.records.decoding import PassedOver, Rejected, decode


def of_entries(*entries):
    return unbundle(encode({"resourceType": "Bundle", "entry": list(entries)}))


def test_resources_come_in_their_order():
    records = unbundle(bundle(patient(), lab("a", 0), {"resourceType": "Claim"})).records
    assert [type(record).__name__ for record in records] == ["Patient", "Observation", "PassedOver"]


def test_resource_without_an_id_gets_that_of_its_full_url():
    nameless = patient() | {"id": ""}
    del nameless["id"]
    found = of_entries({"fullUrl": "urn:uuid:11-22", "resource": nameless})
    assert found.records[0].id == "11-22"
    assert found.ids == {"urn:uuid:11-22": "11-22"}


def test_full_url_stands_for_the_id_of_its_resource():
    found = of_entries({"fullUrl": "urn:uuid:11-22", "resource": patient("ada")})
    assert found.ids == {"urn:uuid:11-22": "ada"}


@pytest.mark.parametrize("entry", [{}, {"request": {"method": "DELETE", "url": "Patient/ada"}}])
def test_entry_without_a_resource_is_nothing(entry):
    assert of_entries(entry, {"resource": patient()}).records[0].id == "ada"


def test_broken_resource_costs_itself_and_is_told_by_its_place():
    records = of_entries(
        {"resource": patient()}, {"resource": {"resourceType": "Patient", "gender": 5}}
    ).records
    assert records[0].id == "ada"
    assert records[1].element == "Bundle.entry[1].Patient.gender"


def test_resource_that_nobody_reads_may_have_any_shape():
    found = of_entries({"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Claim", "id": 5}})
    assert found.records == [PassedOver("Claim")]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Bundle","entry":{}}',
        b'{"resourceType":"Bundle","entry":null}',
        b'{"resourceType":"Bundle","entry":[5]}',
        b'{"resourceType":"Bundle","entry":[{"fullUrl":"a","fullUrl":"b"}]}',
        b'{"resourceType":"Patient"}',
        b"[]",
        b"",
    ],
)
def test_what_is_no_bundle_is_refused(raw):
    assert isinstance(unbundle(raw), Rejected)


def test_empty_bundle_holds_nothing():
    assert unbundle(b'{"resourceType":"Bundle","type":"searchset"}').records == []


@pytest.mark.parametrize(
    "raw", [bundle(), b'{"entry":[' + b"{}," * 5000 + b'{}],"resourceType":"Bundle"}']
)
def test_bundle_is_told_by_its_type_wherever_it_stands(raw):
    assert decode(raw) == PassedOver("Bundle")


@pytest.mark.parametrize(
    "record",
    [
        patient() | {"name": [{"family": "Bundle"}], "entry": []},
        lab("Bundle", 0) | {"note": [{"text": '"Bundle"'}]},
        {"resourceType": "AuditEvent", "entity": [{"type": {"code": "Bundle"}}]},
    ],
)
def test_record_that_mentions_the_word_is_no_bundle(record):
    assert decode(encode(record)) != PassedOver("Bundle")


def test_broken_json_is_no_bundle():
    assert isinstance(decode(b'{"resourceType":"Bundle","entry":['), Rejected)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("Patient/7", "7"),
        ("https://ehr.example/fhir/Patient/7", "7"),
        ("Patient/7/_history/3", "7"),
        ("https://ehr.example/fhir/Patient/7/_history/3", "7"),
        ("urn:uuid:2f6c-11", "2f6c-11"),
        ("urn:oid:1.2.3", "1.2.3"),
        ("7", "7"),
    ],
)
def test_id_of_a_reference_is_without_type_server_and_version(reference, name):
    assert last_segment(reference) == name
