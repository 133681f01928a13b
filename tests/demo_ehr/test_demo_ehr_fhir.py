"""What the demo EHR's FHIR server answers: valid R4, searched and paged as clients expect it."""

import json
from importlib import import_module
from typing import Any

import httpx
import pytest

from service.demo_ehr.charts import days_since
from service.demo_ehr.moved_dates import MovedDates
from service.demo_ehr.search import TYPES

PREFETCHED = (
    "Encounter",
    "Condition",
    "Observation",
    "MedicationRequest",
    "Procedure",
    "Consent",
    "Coverage",
    "MedicationAdministration",
)


def validated(resource: dict[str, Any]) -> Any:
    kind = resource["resourceType"]
    module = import_module(f"fhir.resources.R4B.{kind.lower()}")
    return getattr(module, kind).model_validate(resource)


def get(demo: Any, path: str, *, scope: str = "system/*.cruds", patient: str | None = None) -> Any:
    token = demo.ehr.tokens.give(scope, patient)
    url = path if "://" in path else f"{demo.plan.fhir}/{path}"
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"})


def send(demo: Any, method: str, path: str, body: Any, scope: str = "system/*.cruds") -> Any:
    headers = {"Authorization": f"Bearer {demo.ehr.tokens.give(scope, None)}"}
    return httpx.request(method, f"{demo.plan.fhir}/{path}", headers=headers, json=body)


@pytest.fixture(scope="module")
def patient(lone_ehr: Any) -> str:
    """Somebody with many results, so that they fill several pages."""
    listed = [stay.patient for stay in lone_ehr.ehr.store.records.recent]
    return max(listed, key=lambda one: len(lone_ehr.ehr.store.of_patient("Observation", one)))


def every_page(demo: Any, query: str) -> list[dict[str, Any]]:
    """The resources of all pages of a search."""
    found, link = [], query
    while link:
        answer = get(demo, link)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        validated(page)
        found += [entry["resource"] for entry in page.get("entry", ())]
        link = next((one["url"] for one in page["link"] if one["relation"] == "next"), "")
    return found


def test_what_it_can_do_is_a_valid_statement(lone_ehr):
    statement = validated(httpx.get(f"{lone_ehr.plan.fhir}/metadata").json())
    assert {one.type for one in statement.rest[0].resource} == set(TYPES)


@pytest.mark.parametrize("kind", PREFETCHED)
def test_a_patients_records_are_valid_and_theirs(lone_ehr, patient, kind):
    for resource in every_page(lone_ehr, f"{kind}?patient={patient}"):
        validated(resource)
        assert patient in json.dumps(resource)


def test_a_patient_is_read_by_id(lone_ehr, patient):
    answer = get(lone_ehr, f"Patient/{patient}")
    assert validated(answer.json()).id == patient
    assert get(lone_ehr, "Patient/nobody").status_code == 404


def test_all_pages_together_hold_each_result_once(lone_ehr, patient):
    counted = get(lone_ehr, f"Observation?patient={patient}&_summary=count").json()
    found = every_page(lone_ehr, f"Observation?patient={patient}&_count=7&_sort=-date")
    assert counted["total"] == len(found) == len({one["id"] for one in found}) > 7
    moments = [one["effectiveDateTime"] for one in found]
    assert moments == sorted(moments, reverse=True)


def test_categories_part_the_results(lone_ehr, patient):
    query = f"Observation?patient={patient}&category="
    kinds = [every_page(lone_ehr, query + kind) for kind in ("laboratory", "vital-signs")]
    assert all(kinds)
    assert not {one["id"] for one in kinds[0]} & {one["id"] for one in kinds[1]}


def test_a_date_with_a_prefix_parts_the_stays(lone_ehr, patient):
    stays = every_page(lone_ehr, f"Encounter?patient={patient}&_sort=date")
    middle = stays[len(stays) // 2]["period"]["start"][:10]
    later = every_page(lone_ehr, f"Encounter?patient={patient}&date=ge{middle}")
    earlier = every_page(lone_ehr, f"Encounter?patient={patient}&date=lt{middle}")
    assert later
    assert len(later) + len(earlier) == len(stays)
    assert all(one["period"]["start"][:10] >= middle for one in later)


def test_a_parameter_that_is_not_known_is_refused_and_not_ignored(lone_ehr, patient):
    answer = get(lone_ehr, f"Observation?patient={patient}&onset=2024")
    assert answer.status_code == 400
    validated(answer.json())


def test_nobody_reads_without_a_token(lone_ehr, patient):
    assert httpx.get(f"{lone_ehr.plan.fhir}/Patient/{patient}").status_code == 401


def test_a_token_for_one_patient_opens_no_other_chart(lone_ehr, patient):
    other = next(one for one in lone_ehr.ehr.store.records.patients() if one != patient)
    limited = {"scope": "patient/*.rs", "patient": patient}
    assert get(lone_ehr, f"Patient/{patient}", **limited).status_code == 200
    assert get(lone_ehr, f"Patient/{other}", **limited).status_code == 404
    assert get(lone_ehr, f"Encounter?patient={other}", **limited).status_code == 403


def test_a_token_that_may_read_may_not_write(lone_ehr, patient):
    flag = {"resourceType": "Flag", "subject": {"reference": f"Patient/{patient}"}}
    assert send(lone_ehr, "POST", "Flag", flag, scope="system/*.rs").status_code == 403


def test_a_conditional_update_writes_one_resource_in_versions(lone_ehr, patient):
    flag = {
        "resourceType": "Flag",
        "identifier": [{"system": "urn:example", "value": patient}],
        "status": "active",
        "code": {"text": "High risk"},
        "subject": {"reference": f"Patient/{patient}"},
    }
    where = f"Flag?identifier=urn:example|{patient}"
    first = send(lone_ehr, "PUT", where, flag)
    second = send(lone_ehr, "PUT", where, {**flag, "status": "inactive"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert [first.headers["ETag"], second.headers["ETag"]] == ['W/"1"', 'W/"2"']
    (found,) = every_page(lone_ehr, where)
    assert validated(found).status == "inactive"
    assert send(
        lone_ehr, "PUT", "Patient?identifier=x", {"resourceType": "Patient"}
    ).status_code in (
        400,
        422,
    )


def test_a_provenance_is_found_by_its_tag(lone_ehr, patient):
    """It has no identifier in R4, so that a tag is what a conditional update goes by."""
    provenance = {
        "resourceType": "Provenance",
        "meta": {"tag": [{"system": "urn:example", "code": patient}]},
        "target": [{"reference": f"Patient/{patient}"}],
        "recorded": "2026-03-09T12:00:00Z",
        "agent": [{"who": {"display": "A fictitious device"}}],
    }
    where = f"Provenance?_tag=urn:example|{patient}"
    assert send(lone_ehr, "PUT", where, provenance).status_code == 201
    assert send(lone_ehr, "PUT", where, provenance).status_code == 200
    (found,) = every_page(lone_ehr, where)
    validated(found)
    assert every_page(lone_ehr, "Provenance?_tag=urn:example|another") == []


def test_the_hospitals_last_days_are_the_last_days_before_today(lone_ehr):
    recent = lone_ehr.ehr.store.records.recent
    ended = [days_since(one.end) for one in recent if one.end is not None]
    assert any(one.end is None for one in recent), "somebody is in hospital"
    assert 0 < min(ended) < 3
    assert max(ended) < 45


def test_dates_are_moved_by_days_and_nothing_else_is():
    moved = MovedDates(14).move(
        b'{"id":"2024-01-01x","birthDate":"1960-02-29","issued":"2024-12-31T23:30:00-05:00",'
        b'"onsetDateTime":"2024"}'
    )
    assert json.loads(moved) == {
        "id": "2024-01-01x",
        "birthDate": "1960-03-14",
        "issued": "2025-01-14T23:30:00-05:00",
        "onsetDateTime": "2024",
    }


def test_broken_lines_of_the_export_are_passed_over(lone_ehr):
    assert not any(one.startswith("sim-broken") for one in lone_ehr.ehr.store.records.patients())
    assert get(lone_ehr, "Observation/sim-broken-1").status_code == 404


def test_notifications_and_what_was_missed_are_valid(lone_ehr, patient):
    events = lone_ehr.ehr.events
    stay = lone_ehr.ehr.store.of_patient("Encounter", patient)[0]["id"]
    before = len(events.events)
    events.events.extend(
        type(events.events[0] if events.events else _event())(n, stay, patient, _event().at)
        for n in (before + 1, before + 2)
    )
    path = f"Subscription/{lone_ehr.plan.subscription}"
    missed = get(lone_ehr, f"{path}/$events?eventsSinceNumber={before + 2}").json()
    validated(missed)
    (status,) = [e["resource"] for e in missed["entry"] if "resource" in e]
    numbers = [
        part["valueString"]
        for parameter in validated(status).model_dump()["parameter"]
        for part in parameter.get("part") or ()
        if part["name"] == "event-number"
    ]
    assert numbers == [str(before + 2)]
    validated(get(lone_ehr, f"{path}/$status").json())
    validated(get(lone_ehr, path).json())


def _event() -> Any:
    from service.demo_ehr.events import HospitalEvent

    return HospitalEvent(0, "", "", "2026-03-09T12:00:00.000Z")
