"""The FHIR side shows each caller what the rest of the service shows them, and no more."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.riskassessment import RiskAssessment
from trusting_service import OTHER_UNIT, PATIENT, UNIT, Service, bundle_of

from service.audit.vocabulary import Event
from service.database.audit_entries import entries

SEARCH = "/fhir/RiskAssessment"


def found(service: Service, token: str, **parameters: str) -> dict[str, Any]:
    answer = service.ask("GET", SEARCH, token, params=parameters)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def entered(service: Service) -> Any:
    with service.keeping.database.reading() as connection:
        return list(entries(connection))[-1]


def test_a_refusal_is_an_outcome_and_keeps_its_headers(service: Service) -> None:
    answer = service.ask("GET", SEARCH, params={"patient": PATIENT})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["issue"][0]["code"] == "login"
    answer = service.ask("GET", SEARCH, service.person("auditor"), params={"patient": PATIENT})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "forbidden")
    assert entered(service).event == Event.ACCESS_REFUSED


def test_a_data_scientist_sees_a_pseudonym_a_year_and_no_record(service: Service) -> None:
    kept = service.kept()
    token = service.person("data_scientist")
    answer = service.ask("GET", f"{SEARCH}/{kept}", token)
    RiskAssessment.model_validate(answer.json())
    assert PATIENT not in answer.text
    assert "example-stay" not in answer.text
    assert "last-modified" not in answer.headers
    made = answer.json()
    assert made["subject"]["identifier"]["value"] == service.pseudonym()
    assert len(made["occurrenceDateTime"]) == len("2026")
    assert made["prediction"][0]["whenPeriod"] == {"start": "2026"}
    assert "lastUpdated" not in made["meta"]
    assert "basis" not in made
    assert [one["code"] for one in made["meta"]["security"]] == ["AIAST", "PSEUDED"]


def test_a_data_scientist_searches_by_pseudonym_and_never_by_the_patient(service: Service) -> None:
    kept = service.kept()
    token = service.person("data_scientist")
    page = found(service, token, patient=service.pseudonym(), _count="1")
    (entry,) = page["entry"]
    assert entry["resource"]["id"] == kept
    assert PATIENT not in json.dumps(page)
    stay = entry["resource"]["encounter"]["identifier"]["value"]
    assert found(service, token, encounter=stay)["total"] == page["total"]
    for other in ({"patient": PATIENT}, {"encounter": "example-stay"}):
        assert found(service, token, **other)["total"] == 0


def test_a_data_scientist_cannot_find_out_the_day(service: Service) -> None:
    service.kept()
    token = service.person("data_scientist")
    by_day = {"patient": service.pseudonym(), "date": "ge2026-03-01"}
    assert service.ask("GET", SEARCH, token, params=by_day).status_code == 400
    assert found(service, token, **(by_day | {"date": "ge2020"}))["total"] > 0


@pytest.mark.parametrize("named", ["patient", "encounter", "_id"])
def test_a_care_manager_finds_the_stays_of_their_unit_alone(service: Service, named: str) -> None:
    kept = service.kept(unit=OTHER_UNIT, patient="example-elsewhere")
    by = {"patient": "example-elsewhere", "encounter": "example-stay", "_id": kept}[named]
    if named == "encounter":
        by = "only-elsewhere"
        bundle = json.dumps(bundle_of("example-elsewhere", OTHER_UNIT))
        body = json.loads(bundle.replace("example-stay", by))
        assert service.score(service.person("clinician"), body).status_code == 200
    mine = service.person("care_manager", units=[OTHER_UNIT])
    others = service.person("care_manager", units=[UNIT], subject="of-another-unit")
    assert found(service, mine, **{named: by})["total"] > 0
    empty = found(service, others, **{named: by})
    assert (empty["total"], "entry" in empty) == (0, False)
    assert entered(service).event == Event.ACCESS_REFUSED


def test_an_encounter_of_two_patients_asks_for_the_patient(service: Service) -> None:
    for patient in (PATIENT, "example-namesake"):
        service.kept(patient=patient)
    token = service.person("clinician")
    answer = service.ask("GET", SEARCH, token, params={"encounter": "example-stay"})
    assert answer.status_code == 400
    named = found(service, token, encounter="example-stay", patient="example-namesake")
    assert named["total"] == 1


def test_a_token_for_another_patient_finds_nothing(service: Service) -> None:
    kept = service.kept()
    token = service.person("clinician", scope="patient/*.cruds", patient="example-somebody-else")
    for by in ({"patient": PATIENT}, {"_id": kept}):
        assert found(service, token, **by)["total"] == 0


def test_a_patient_who_opted_out_is_not_found_and_not_scored(service: Service) -> None:
    kept = service.kept(patient="example-refusing")
    service.opt_out.write_text("example-refusing\n")
    token = service.person("clinician")
    assert found(service, token, patient="example-refusing")["total"] == 0
    assert found(service, token, _id=kept)["total"] == 0
    assert service.ask("GET", f"{SEARCH}/{kept}", token).status_code == 404
    body = bundle_of("example-refusing")
    told = service.ask("POST", "/fhir/$readmission-risk", token, json=body).json()
    (entry,) = told["entry"]
    assert entry["resource"]["issue"][0]["details"]["coding"][0]["code"] == "opted_out"
    service.opt_out.write_text("# nobody\n")
