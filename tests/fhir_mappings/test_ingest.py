"""Ingest: never stopped by a bad line, counted from end to end, and updating what is there."""

import csv
import gzip
import json
import os

import msgspec
import pytest
from records import (
    CANARY,
    bundle,
    clock,
    concept,
    condition,
    encode,
    encounter,
    ingested,
    lab,
    moment,
    ndjson,
    order,
    patient,
    stored,
    written,
)

from fhir_mappings.errors import NotFHIRError
from fhir_mappings.ingest import REJECTS, ingest
from fhir_mappings.profiles import CodingRules, load_profile
from fhir_mappings.store import open_store

DEFAULT = load_profile("default")


def rejects(store):
    with (store / REJECTS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def values(store, who="ada"):
    return [e.value for e in stored(store)[who] if e.kind == "observation"]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_everything_read_is_counted_by_what_became_of_it(store):
    lines = [
        patient(),
        encounter("e", 0, 4),
        encounter("f", 0, 4, status="cancelled"),
        lab("a", 1),
        {"resourceType": "Medication", "id": "d", "code": concept("urn:x", "1")},
        {"resourceType": "Medication", "id": "empty"},
        {"resourceType": "Claim", "id": "x"},
    ]
    summary = ingested(store, ("a.ndjson", ndjson(*lines)))
    counts = {name: msgspec.structs.astuple(each) for name, each in summary.by_type.items()}
    assert counts == {
        "Claim": (1, 0, 0, 1),
        "Encounter": (2, 1, 1, 0),
        "Medication": (2, 1, 1, 0),
        "Observation": (1, 1, 0, 0),
        "Patient": (1, 1, 0, 0),
    }
    assert (summary.resources, summary.patients, summary.rejected) == (7, 1, 0)
    assert (summary.files, summary.withdrawn, summary.rejects_file) == (1, 1, None)
    assert summary.events == len(stored(store)["ada"]) == 4
    assert list(summary.by_type) == sorted(summary.by_type)


@pytest.mark.parametrize(
    ("bad", "element"),
    [
        (b'{"resourceType":"Observation","id":"x","note":"%s"', ""),
        (b'{"resourceType":"Observation","id":"x","status":["%s"]}', "Observation.status"),
        (b'{"resourceType":"Patient","id":"x","%s":1,"%s":2}', ""),
        (b'{"resourceType":"Patient","id":"x","name":"%s","age":NaN}', ""),
        (b'{"resourceType":"Patient","id":"x","name":"%s","age":Infinity}', ""),
        (
            b'{"resourceType":"Observation","id":"%s","valueQuantity":{"value":1e999}}',
            "Observation.valueQuantity.value",
        ),
        (b'\xef\xbb\xbf{"resourceType":"Patient","id":"%s"}', ""),
        (b'{"resourceType":"Patient","id":"%s\xff"}', ""),
        (b'{"resourceType":"Patient","id":"%s\x00"}', ""),
        (b'{"resourceType":"Patient","id":"%s\\u0000"}', ""),
        (b'{"id":"%s","x":' + b"[" * 64 + b"]" * 64 + b"}", ""),
        (b'{"resourceType":"%s"}', "resourceType"),
        (b'["%s"]', "resourceType"),
        (b'{"resourceType":"Patient","birthDate":"%s"}', "Patient.id"),
        (b'{"resourceType":"Observation","id":"%s"}', "Observation.subject"),
        (b"%s", ""),
    ],
)
def test_one_bad_line_among_many_is_quarantined_without_its_content(store, bad, element):
    good = [ndjson(lab(f"lab-{number}", number)) for number in range(40)]
    content = b"".join([*good[:20], bad.replace(b"%s", CANARY.encode()) + b"\n", *good[20:]])
    summary = ingested(store, ("Observation.ndjson", content))
    assert (summary.rejected, summary.resources) == (1, 40)
    assert len(values(store)) == 40
    (line,) = rejects(store)
    assert (line["file"], line["line"], line["element"]) == ("Observation.ndjson", "21", element)
    assert line["reason"]
    assert summary.rejects_file == str(store / REJECTS)
    whole = (store / REJECTS).read_bytes() + msgspec.json.encode(summary)
    with open_store(store) as opened:
        whole += msgspec.json.encode(opened.information)
    assert CANARY.encode() not in whole


def test_ndjson_whose_first_line_is_broken_loses_that_line_only(store):
    content = b'{"resourceType":"Patient","id":"ada"\n' + ndjson(lab("a", 0), lab("b", 1))
    assert ingested(store, ("a.ndjson", content)).rejected == 1
    assert len(values(store)) == 2
    assert [line["line"] for line in rejects(store)] == ["1"]


def test_truncated_gzip_keeps_its_readable_part_and_reports_the_break(store):
    before = gzip.compress(ndjson(lab("a", 0), lab("b", 1)))
    after = gzip.compress(ndjson(*(lab(f"late-{n}", n) for n in range(50))))
    summary = ingested(store, ("a.ndjson.gz", before + after[:30]), ("b.ndjson", ndjson(patient())))
    assert summary.rejected == 1
    assert {"Observation/a", "Observation/b"} <= {e.source for e in stored(store)["ada"]}
    (line,) = rejects(store)
    assert (line["file"], line["element"]) == ("a.ndjson.gz", "")
    assert "break off" in line["reason"]


def test_file_that_is_no_gzip_in_spite_of_its_beginning_is_reported(store):
    summary = ingested(store, ("a.ndjson", b"\x1f\x8b\x00rubbish"), ("b.ndjson", ndjson(patient())))
    assert (summary.rejected, summary.patients) == (1, 1)


def test_empty_file_is_read_and_holds_nothing(store):
    summary = ingested(store, ("a.ndjson", b""), ("b.ndjson", b"\n\n"))
    assert (summary.files, summary.resources, summary.rejected, summary.patients) == (2, 0, 0, 0)


def test_source_that_is_not_there_is_refused_before_anything_is_written(store):
    with pytest.raises(NotFHIRError):
        ingest([store.parent / "absent"], store, DEFAULT)
    assert not store.exists()


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_bundle_file_is_read_however_it_is_printed(store, indent):
    content = json.dumps(json.loads(bundle(patient(), lab("a", 0))), indent=indent).encode()
    assert ingested(store, ("ada.json", content)).resources == 2
    assert values(store) == [140.0]


def test_several_bundles_a_file_are_read_line_by_line(store):
    content = bundle(patient("ada"), lab("a", 0)) + b"\n"
    content += bundle(patient("bob"), lab("b", 0, who="bob"))
    assert ingested(store, ("all.ndjson", content)).patients == 2


def test_export_may_hold_bundles_of_several_patients(store):
    assert ingested(store, ("all.json", bundle(patient("ada"), patient("bob")))).patients == 2


def test_empty_bundle_holds_nothing(store):
    summary = ingested(store, ("a.json", b'{"resourceType":"Bundle","type":"searchset"}'))
    assert (summary.resources, summary.rejected) == (0, 0)


def test_broken_resource_of_a_bundle_is_listed_with_its_entry(store):
    content = bundle(patient(), lab("a", 0, status=[CANARY]), lab("b", 0))
    assert ingested(store, ("ada.json", content)).rejected == 1
    assert [line["element"] for line in rejects(store)] == ["Bundle.entry[1].Observation.status"]
    assert CANARY not in (store / REJECTS).read_text()
    assert values(store) == [140.0]


def test_record_that_mentions_a_bundle_is_a_record(store):
    mentions = lab("a", 0, note=[{"text": "Bundle"}], entry="Bundle", category="Bundle")
    assert ingested(store, ("a.ndjson", ndjson(mentions))).rejected == 0
    assert values(store) == [140.0]


def test_references_of_a_bundle_are_followed_by_full_url(store):
    entries = [
        {"fullUrl": "urn:uuid:p", "resource": patient()},
        {"fullUrl": "urn:uuid:e", "resource": encounter("e", 0, 4)},
        {
            "fullUrl": "urn:uuid:c",
            "resource": condition(
                "c",
                subject={"reference": "urn:uuid:p"},
                encounter={"reference": "urn:uuid:e"},
            ),
        },
    ]
    ingested(store, ("ada.json", encode({"resourceType": "Bundle", "entry": entries})))
    (coded,) = [event for event in stored(store)["ada"] if event.kind == "diagnosis"]
    assert (coded.encounter, coded.time) == ("e", moment(4))


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("separately", [True, False])
def test_latest_version_counts_in_whatever_order_versions_come(store, newest_first, separately):
    versions = [
        ndjson(lab("a", 0, 140, meta={"lastUpdated": clock(1)})),
        ndjson(lab("a", 0, 150, meta={"lastUpdated": clock(2)})),
    ]
    if newest_first:
        versions.reverse()
    if separately:
        for number, version in enumerate(versions):
            ingested(store, (f"{number}.ndjson", version))
    else:
        ingested(store, ("a.ndjson", b"".join(versions)))
    assert values(store) == [150.0]


def test_same_export_twice_changes_nothing(store):
    export = ndjson(patient(), encounter("e", 0, 4), condition("c", stay="e"), lab("a", 1))
    first = ingested(store, ("a.ndjson", export))
    before = stored(store)
    again = ingested(store, ("a.ndjson", export))
    assert stored(store) == before
    assert (again.events, again.patients) == (first.events, first.patients)


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        (lab("x", 1), "entered-in-error"),
        (lab("x", 1), "cancelled"),
        (order("x", 1), "entered-in-error"),
        (encounter("x", 0, 4), "entered-in-error"),
        (encounter("x", 0, 4), "cancelled"),
    ],
)
def test_later_version_that_did_not_happen_removes_the_earlier_events(store, resource, status):
    source = f"{resource['resourceType']}/x"
    first = resource | {"meta": {"lastUpdated": clock(5)}}
    ingested(store, ("a.ndjson", ndjson(patient(), first)))
    assert source in {event.source for event in stored(store)["ada"]}
    summary = ingested(
        store, ("b.ndjson", ndjson(first | {"status": status, "meta": {"lastUpdated": clock(6)}}))
    )
    assert source not in {event.source for event in stored(store)["ada"]}
    assert summary.withdrawn == 1
    ingested(store, ("c.ndjson", ndjson(first)))
    assert source not in {event.source for event in stored(store)["ada"]}, "the old one came back"


def test_withdrawn_encounter_no_longer_dates_its_diagnoses(store):
    stay = encounter("e", 0, 4, meta={"lastUpdated": clock(5)})
    ingested(store, ("a.ndjson", ndjson(patient(), stay, condition("c", stay="e"))))
    ingested(
        store,
        (
            "b.ndjson",
            ndjson(stay | {"status": "entered-in-error", "meta": {"lastUpdated": clock(6)}}),
        ),
    )
    (coded,) = [event for event in stored(store)["ada"] if event.kind == "diagnosis"]
    assert coded.time is None


def test_encounter_that_ends_later_dates_its_diagnoses_anew(store):
    under_way = encounter("e", 0, None, meta={"lastUpdated": clock(1)})
    ingested(store, ("a.ndjson", ndjson(under_way, condition("c", stay="e"))))
    ended = encounter("e", 0, 6, meta={"lastUpdated": clock(6)})
    ingested(store, ("b.ndjson", ndjson(ended)))
    (coded,) = [event for event in stored(store)["ada"] if event.kind == "diagnosis"]
    assert (coded.time, coded.known_at) == (moment(6), moment(6))


def test_drug_may_come_after_its_orders_and_in_another_export(store):
    record = order("m", 0, medicationReference={"reference": "Medication/mix"})
    record["medicationCodeableConcept"] = None
    mixture = {
        "resourceType": "Medication",
        "id": "mix",
        "ingredient": [{"itemReference": {"reference": "Medication/d"}}],
    }
    drug = {"resourceType": "Medication", "id": "d", "code": concept("urn:x", "furosemide")}
    codes = []
    for content in (record, mixture, drug):
        ingested(store, ("a.ndjson", ndjson(content)))
        codes.append([event.code for event in stored(store)["ada"]])
    assert codes == [["Medication/mix"], ["Medication/d"], ["urn:x|furosemide"]]


def test_change_of_the_coding_rules_settles_the_whole_store_anew(store):
    export = ndjson(encounter("e", 0, 4), condition("c", stay="e"))
    ingested(store, ("a.ndjson", export))
    billed = msgspec.structs.replace(DEFAULT, coding=CodingRules("after-discharge", 4))
    ingested(store, ("b.ndjson", ndjson(patient("bob"))), profile=billed)
    (coded,) = [event for event in stored(store)["ada"] if event.kind == "diagnosis"]
    assert coded.known_at == moment(8)


def test_questionable_values_are_counted_by_element(store):
    absurd = lab("a", 0, effectiveDateTime="9999-12-31")
    hours = lab("b", 0, effectiveDateTime="2024-03-01T24:00:00Z")
    summary = ingested(
        store, ("a.ndjson", ndjson(absurd, encounter("e", 4, 0))), ("b.json", bundle(hours))
    )
    assert summary.questionable == {
        "Observation.effective: no FHIR date, or an absurd year": 2,
        "Encounter.period: ends before it starts": 1,
    }
    with open_store(store) as opened:
        assert opened.information.details["questionable"] == summary.questionable


def test_rejects_of_an_earlier_ingest_are_not_kept(store):
    assert ingested(store, ("a.ndjson", b"rubbish")).rejected == 1
    assert ingested(store, ("b.ndjson", ndjson(patient()))).rejects_file is None
    assert rejects(store) == []


@pytest.mark.parametrize("name", ["=1+1.ndjson", "@x.ndjson", "+x.ndjson", "-x.ndjson"])
def test_name_of_a_file_is_no_formula_in_the_list_of_rejects(store, name):
    ingested(store, (name, b"rubbish"))
    assert rejects(store)[0]["file"] == "'" + name


def test_name_of_a_file_need_not_be_text(store, tmp_path):
    file = written(tmp_path / os.fsdecode(b"ward-\xff\n.ndjson"), b"rubbish")
    assert ingest([file], store, DEFAULT).rejected == 1
    assert rejects(store)[0]["file"] == "ward-\\udcff\n.ndjson"


def test_displays_of_codes_are_kept_with_the_store(store):
    sodium = {"coding": [{"system": "http://loinc.org", "code": "2951-2", "display": "Sodium"}]}
    ingested(store, ("a.ndjson", ndjson(lab("a", 0, code=sodium))))
    with open_store(store) as opened:
        assert opened.description("LOINC|2951-2") == "Sodium"


def test_progress_is_told_of_every_file(store, tmp_path):
    for name in ("a.ndjson", "b.ndjson"):
        written(tmp_path / "export" / name, ndjson(patient()))
    told = []
    ingest([tmp_path / "export"], store, DEFAULT, progress=lambda *each: told.append(each))
    size = len(ndjson(patient()))
    assert told == [("a.ndjson", size, 2 * size), ("b.ndjson", 2 * size, 2 * size)]


def test_ingest_that_fails_leaves_the_store_as_it_was(store, monkeypatch):
    ingested(store, ("a.ndjson", ndjson(patient(), lab("a", 0))))
    before = stored(store)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("fhir_mappings.ingest.settle_table", broken)
    with pytest.raises(OSError, match="disk full"):
        ingested(store, ("b.ndjson", ndjson(lab("b", 0))))
    assert stored(store) == before
