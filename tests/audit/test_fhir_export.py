"""``readmit audit export``: AuditEvents that another system's audit repository can read."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from fhir_mappings.records.instants import as_datetime
from service.audit.disclosures import must_be_accounted_for
from service.audit.fhir_export import BALP, OUTCOMES, SHAPES, audit_event, export
from service.audit.ledger import Audit, Entry
from service.audit.vocabulary import EVENTS, Event
from service.database.audit_entries import entries
from service.identity.caller import Caller
from service.identity.roles import Purpose, Role
from service.protection.keys import KeysError, new_keys

Given = Callable[..., Entry]
PERSON = Caller(
    way="bearer",
    issuer="https://id.example.org",
    subject="a.example",
    client="ehr",
    roles=frozenset({Role.CLINICIAN, Role.AUDITOR}),
)
SYSTEM = Caller(way="bearer", issuer="https://id.example.org", subject="night-batch")


def example(event: Event, caller: Caller | None, outcome: Any = "success") -> Entry:
    described = EVENTS[event]
    return Entry(
        event=event,
        caller=caller,
        outcome=outcome,
        patient="example" if described.about_patient else None,
        route="/v1/somewhere/{id}",
        details=dict.fromkeys(described.details, "x"),
    )


def exported(audit: Audit, out: Path, **options: Any) -> list[dict[str, Any]]:
    export(audit, out, **options)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def agents(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        agent.get("type", {"coding": [{"code": "person"}]})["coding"][0]["code"]: agent
        for agent in event["agent"]
    }


def test_every_event_has_its_codes() -> None:
    assert set(SHAPES) == set(Event)


@pytest.mark.parametrize("event", Event)
def test_every_event_is_a_valid_audit_event_whoever_did_it(
    small_audit: Audit, tmp_path: Path, event: Event
) -> None:
    for caller in (PERSON, SYSTEM, None):
        for outcome in OUTCOMES:
            small_audit.record(example(event, caller, outcome))
    events = exported(small_audit, tmp_path / "out.ndjson")
    assert len(events) == 9
    for one in events:
        AuditEvent.model_validate(one)
        # BALP's profiles want exactly one who asked, and say nothing of what failed.
        assert sum(agent["requestor"] for agent in one["agent"]) == 1
        assert ("meta" in one) == (SHAPES[event].profile is not None and one["outcome"] == "0")


def test_a_score_is_a_create_about_the_patient(audit: Audit, tmp_path: Path, given: Given) -> None:
    audit.record(given("patient-1"))
    (event,) = exported(audit, tmp_path / "out.ndjson")
    with audit.database.reading() as connection:
        row = next(entries(connection))
    assert event["meta"]["profile"] == [BALP + "PatientCreate"]
    assert (event["type"]["code"], event["action"], event["outcome"]) == ("rest", "C", "0")
    assert [one["code"] for one in event["subtype"]] == ["create", "score_given"]
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert AuditEvent.model_validate(event).recorded == as_datetime(row.at)
    patient, data = event["entity"]
    assert patient["what"] == {"reference": "Patient/patient-1"}
    assert {one["type"]: one["valueString"] for one in data["detail"]}["model"] == "linear"
    asked = agents(event)
    assert asked["110153"]["who"]["identifier"]["value"] == "ehr"
    assert asked["110152"]["who"] == event["source"]["observer"]
    assert asked["AUT"]["who"]["identifier"] == {
        "system": "https://id.example.org",
        "value": "a.example",
    }


def test_a_read_flows_the_other_way(small_audit: Audit, tmp_path: Path) -> None:
    small_audit.record(
        Entry(event=Event.SCORE_READ, caller=PERSON, patient="p", details={"score_id": "s1"})
    )
    (event,) = exported(small_audit, tmp_path / "out.ndjson")
    asked = agents(event)
    assert asked["110152"]["who"]["identifier"]["value"] == "ehr"
    assert asked["110153"]["who"] == event["source"]["observer"]
    assert asked["IRCP"]["requestor"] is True
    assert event["entity"][1]["what"] == {"reference": "RiskAssessment/s1"}


def test_a_search_is_an_execution_and_carries_what_was_asked_without_an_id(
    small_audit: Audit, tmp_path: Path
) -> None:
    small_audit.record(example(Event.DISCLOSURES_READ, PERSON))
    (event,) = exported(small_audit, tmp_path / "out.ndjson")
    assert event["action"] == "E"
    query = event["entity"][1]
    assert query["role"]["code"] == "24"
    assert base64.b64decode(query["query"]) == b"/v1/somewhere/{id}"
    assert not {"what", "detail"} & set(query)


def test_what_must_be_accounted_for_is_a_privacy_disclosure(
    small_audit: Audit, tmp_path: Path, given: Given
) -> None:
    for purpose in Purpose:
        small_audit.record(given(purpose=purpose))
    with small_audit.database.reading() as connection:
        counted = {row.purpose for row in entries(connection) if must_be_accounted_for(row)}
    assert counted == {"HRESCH"}
    events = exported(small_audit, tmp_path / "out.ndjson")
    disclosed = [one for one in events if one["type"]["code"] == "110106"]
    (event,) = disclosed
    assert event["meta"]["profile"] == [BALP + "PrivacyDisclosure.Source"]
    assert (event["subtype"][0]["code"], event["action"]) == ("disclose", "R")
    # BALP's rule val-audit-source: who discloses is who writes the audit.
    assert agents(event)["110153"]["who"] == event["source"]["observer"]
    assert "110152" in agents(event)


def test_a_detail_that_is_a_number_or_a_yes_is_said_as_json_says_it(
    small_audit: Audit, tmp_path: Path
) -> None:
    """A card that was shown before says so with a yes: it must not stop the export."""
    details = {"card": "c", "service": "s", "band": "high", "suppressed": True}
    entry = Entry(event=Event.CARD_SHOWN, caller=SYSTEM, patient="example", details=details)
    small_audit.record(entry)
    *_, event = exported(small_audit, tmp_path / "out.ndjson")
    said = {one["type"]: one["valueString"] for one in event["entity"][-1]["detail"]}
    assert said == {**details, "suppressed": "true"}


def test_the_export_is_entered_and_its_file_is_its_owners(
    audit: Audit, tmp_path: Path, given: Given
) -> None:
    for _ in range(3):
        audit.record(given())
    out = tmp_path / "out.ndjson"
    assert export(audit, out) == 3
    assert out.stat().st_mode & 0o777 == 0o600
    with audit.database.reading() as connection:
        *_, last = entries(connection)
    assert last.event == Event.AUDIT_EXPORTED
    assert json.loads(last.details) == {"count": 3, "first": 1, "last": 3}


def test_only_what_was_asked_for_is_exported(audit: Audit, tmp_path: Path, given: Given) -> None:
    for _ in range(3):
        audit.record(given())
    with audit.database.reading() as connection:
        times = [row.at for row in entries(connection)]
    events = exported(audit, tmp_path / "out.ndjson", since=times[1], until=times[2])
    assert [one["id"] for one in events] == ["2"]


def test_an_export_that_cannot_be_entered_leaves_no_file(
    audit: Audit, tmp_path: Path, given: Given
) -> None:
    audit.record(given())
    audit.anchor.unlink()
    with pytest.raises(Exception, match="anchor is missing"):
        export(audit, tmp_path / "out.ndjson")
    assert list(tmp_path.glob("*ndjson*")) == []


def test_a_patient_whose_key_is_gone_stops_the_export(
    small_audit: Audit, tmp_path: Path, given: Given
) -> None:
    small_audit.record(given())
    with small_audit.database.reading() as connection:
        (row,) = entries(connection)
    with pytest.raises(KeysError):
        audit_event(row, new_keys())
