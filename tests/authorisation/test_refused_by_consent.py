"""Who said no by a Consent is not shown by what was kept before, to anybody, until they say yes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from postgresql import database_url, postgresql, postgresql_url, sqlite_url
from trusting_service import OTHER_UNIT, Service, bundle_of, trusting_service

from service.database.audit_entries import entries
from service.database.engine import Database
from service.database.migrate import upgrade

__all__ = ["database_url", "postgresql", "postgresql_url", "sqlite_url"]

PATIENT = "example-who-decides"
NO: dict[str, Any] = {"type": "deny"}
YES: dict[str, Any] = {"type": "permit"}
OF_R5: list[dict[str, Any]] = [{"type": "deny"}]


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    database = Database(database_url)
    upgrade(database)
    database.close()
    anchor = tmp_path / "audit-anchor"
    with trusting_service(tmp_path, database=database_url, audit_anchor=anchor) as running:
        yield running


def answered(service: Service, provision: Any, **of: Any) -> dict[str, Any]:
    """Score a record with one Consent of the patient."""
    bundle = bundle_of(PATIENT, **of)
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope"}
    consent = {
        "resourceType": "Consent",
        "id": "example-decision",
        "status": "active",
        "scope": {"coding": [scope | {"code": "patient-privacy"}]},
        "patient": {"reference": f"Patient/{PATIENT}"},
        "dateTime": "2026-03-10",
        "provision": provision,
    }
    bundle["entry"].append({"resource": consent})
    answer = service.score(service.person("clinician"), bundle)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def readings(service: Service, score_id: str) -> list[int]:
    """How each way to what was kept is answered: by its id, in the list, and by pseudonym."""
    asked = [
        (f"/v1/scores/{score_id}", "clinician"),
        (f"/v1/patients/{PATIENT}/scores", "clinician"),
        (f"/v1/patients/{service.pseudonym(PATIENT)}/scores", "data_scientist"),
    ]
    return [service.ask("GET", path, service.person(role)).status_code for path, role in asked]


@pytest.mark.parametrize(("refusal", "code"), [(NO, "opted_out"), (OF_R5, "consent_unreadable")])
def test_a_refusal_hides_earlier_scores_and_a_later_permission_shows_them_again(
    service: Service, refusal: Any, code: str
) -> None:
    earlier = service.kept(patient=PATIENT)
    assert readings(service, earlier) == [200, 200, 200]
    refused = answered(service, refusal)
    assert refused["reason"]["code"] == code
    assert readings(service, earlier) == [404, 404, 404]
    assert readings(service, refused["score_id"]) == [404, 404, 404]
    with service.keeping.database.reading() as connection:
        last = list(entries(connection))[-1]
    assert msgspec.json.decode(last.details)["why"] == "opted_out"
    assert answered(service, YES)["status"] == "scored"
    assert readings(service, earlier) == [200, 200, 200]


def test_a_refusal_in_one_unit_hides_what_was_kept_in_another(service: Service) -> None:
    earlier = service.kept(patient=PATIENT, unit=OTHER_UNIT)
    answered(service, NO)
    assert readings(service, earlier) == [404, 404, 404]


def test_one_patients_refusal_hides_nobody_else(service: Service) -> None:
    other = service.kept(patient="example-other")
    answered(service, NO)
    path = f"/v1/scores/{other}"
    assert service.ask("GET", path, service.person("clinician")).status_code == 200


def test_another_reason_for_no_score_is_no_refusal(service: Service) -> None:
    bundle = bundle_of(PATIENT)
    for entry in bundle["entry"]:
        entry["resource"].pop("birthDate", None)
    answer = service.score(service.person("clinician"), bundle).json()
    assert answer["reason"]["code"] == "unknown_age"
    assert readings(service, answer["score_id"]) == [200, 200, 200]
