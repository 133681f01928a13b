"""Scores that are kept: who reads them again, how much of them, and what is on record of it."""

from typing import Any

import msgspec
import pytest
from each_database import on_sqlite_alone
from trusting_service import OTHER_UNIT, PATIENT, UNIT, Service, bundle_of

from service.audit.anchor import AuditError
from service.database import scores
from service.database.audit_entries import entries
from service.score import NotScored, Scored
from service.score_list import PatientScores

EXPLANATION = "On call for the unit tonight."


def last_entry(service: Service) -> Any:
    with service.keeping.database.reading() as connection:
        return list(entries(connection))[-1]


def details(entry: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(entry.details)
    return found


def count_of(service: Service, table: str) -> int:
    with service.keeping.database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def break_glass(service: Service, token: str, patient: str, **body: str) -> Any:
    sent = {"reason": "covering_unit", "explanation": EXPLANATION, **body}
    return service.ask("POST", f"/v1/patients/{patient}/break-glass", token, json=sent)


def test_a_score_is_read_again_as_it_was_given(service: Service) -> None:
    given = service.score(service.person("clinician")).json()
    path = f"/v1/scores/{given['score_id']}"
    assert service.ask("GET", path, service.person("clinician")).json() == given
    msgspec.convert(given, Scored | NotScored)
    entry = last_entry(service)
    assert (entry.event, entry.outcome, entry.purpose) == ("score_read", "success", "TREAT")
    assert entry.route == "/v1/scores/{score_id}"
    assert details(entry) == {"score_id": given["score_id"], "view": "whole"}


@on_sqlite_alone
def test_what_is_kept_names_nobody_in_the_database(service: Service) -> None:
    service.kept(patient="canary-of-the-database")
    service.keeping.database.engine.dispose()
    file = service.keeping.database.file
    content = b"".join(one.read_bytes() for one in file.parent.glob(file.name + "*"))
    assert b"scores" in content
    assert b"canary-of-the-database" not in content
    assert b"sodium 131" not in content


def test_a_score_that_cannot_be_audited_is_neither_kept_nor_given(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_of(service, "scores")

    def full(*_: object) -> None:
        raise AuditError("the disk is full")

    monkeypatch.setattr("service.audit.ledger.audit_entries.append", full)
    answer = service.score(service.person("clinician"))
    assert answer.status_code == 503
    assert "probability" not in answer.text
    assert count_of(service, "scores") == before


def test_a_score_of_another_unit_or_of_none_is_not_computed_for_a_care_manager(
    service: Service,
) -> None:
    before = count_of(service, "scores")
    for unit in (OTHER_UNIT, None):
        answer = service.score(service.person("care_manager"), bundle_of(unit=unit))
        assert answer.status_code == 403
        assert "probability" not in answer.text
        entry = last_entry(service)
        assert (entry.event, entry.patient_index) == ("access_refused", service.pseudonym())
        assert details(entry) == {"needed": "RiskAssessment.c", "why": "unit"}
    assert count_of(service, "scores") == before
    assert service.score(service.person("care_manager")).status_code == 200


def test_what_is_not_there_and_what_is_not_ones_own_are_answered_alike(service: Service) -> None:
    kept = service.kept(unit=OTHER_UNIT, patient="example-of-neurology")
    manager = service.person("care_manager")
    answers = [
        service.ask("GET", path, manager)
        for path in (
            f"/v1/scores/{kept}",
            f"/v1/scores/{'0' * 32}",
            "/v1/patients/example-of-neurology/scores",
            "/v1/patients/example-of-nowhere/scores",
        )
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    ("patient", "why"), [("example-of-neurology", "unit"), ("example-of-nowhere", "unknown")]
)
def test_a_refusal_that_tells_nothing_is_on_record_with_its_reason(
    service: Service, patient: str, why: str
) -> None:
    service.kept(unit=OTHER_UNIT, patient="example-of-neurology")
    service.ask("GET", f"/v1/patients/{patient}/scores", service.person("care_manager"))
    entry = last_entry(service)
    assert (entry.event, entry.outcome) == ("access_refused", "refused")
    assert details(entry) == {"needed": "RiskAssessment.s", "why": why}
    assert entry.patient_index == service.pseudonym(patient)


def test_scores_are_listed_newest_first_and_page_by_page(service: Service) -> None:
    ids = [service.kept(patient="example-of-many") for _ in range(5)]
    path, token, found, after = "/v1/patients/example-of-many/scores", None, [], None
    for _ in range(3):
        token = service.person("clinician")
        more = {} if after is None else {"after": after}
        page = service.ask("GET", path, token, params={"limit": 2, **more}).json()
        msgspec.convert(page, PatientScores)
        found += [one["score_id"] for one in page["scores"]]
        after = page["next"]
    assert found == ids[::-1]
    assert after is None
    assert details(last_entry(service)) == {"count": 1, "view": "whole"}


def test_a_page_goes_on_behind_no_other_patients_score(service: Service) -> None:
    other, _ = service.kept(patient="example-of-other"), service.kept()
    answer = service.ask(
        "GET",
        f"/v1/patients/{PATIENT}/scores",
        service.person("clinician"),
        params={"after": other},
    )
    assert answer.status_code == 404


def test_a_care_manager_lists_the_scores_of_their_own_units_alone(service: Service) -> None:
    ours = service.kept(patient="example-of-two-units")
    service.kept(patient="example-of-two-units", unit=OTHER_UNIT)
    service.kept(patient="example-of-two-units", unit=None)
    listed = service.ask(
        "GET", "/v1/patients/example-of-two-units/scores", service.person("care_manager")
    ).json()
    assert [one["score_id"] for one in listed["scores"]] == [ours]


def test_a_data_scientist_lists_by_pseudonym_and_never_by_a_patients_own_id(
    service: Service,
) -> None:
    service.kept()
    path = "/v1/patients/{}/scores".format
    token = service.person("data_scientist")
    assert service.ask("GET", path(PATIENT), token).status_code == 404
    listed = service.ask("GET", path(service.pseudonym()), service.person("data_scientist"))
    assert listed.status_code == 200
    assert PATIENT not in listed.text
    assert UNIT not in listed.text
    score_id = listed.json()["scores"][0]["score_id"]
    score = service.ask("GET", f"/v1/scores/{score_id}", service.person("data_scientist"))
    assert "example-" not in score.text
    assert details(last_entry(service))["view"] == "without_identity"


@pytest.mark.parametrize("name", ["example%00patient", "%ff", "x" * 64])
def test_what_is_no_pseudonym_is_nobodys_and_never_reaches_the_database(
    service: Service, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[str] = []
    of_patient = scores.of_patient

    def watched(connection: Any, patient_index: str, **more: Any) -> Any:
        asked.append(patient_index)
        return of_patient(connection, patient_index, **more)

    monkeypatch.setattr(scores, "of_patient", watched)
    answer = service.ask("GET", f"/v1/patients/{name}/scores", service.person("data_scientist"))
    assert answer.status_code == 404
    assert set(asked) == {""}


def test_two_roles_see_each_stay_by_the_widest_that_reaches_it(service: Service) -> None:
    both = {"roles": ["care_manager", "data_scientist"]}
    ours = service.kept(patient="example-of-both")
    theirs = service.kept(patient="example-of-both", unit=OTHER_UNIT)
    own = service.ask("GET", f"/v1/scores/{ours}", service.person(**both)).json()
    other = service.ask("GET", f"/v1/scores/{theirs}", service.person(**both)).json()
    assert own["subject"] == "example-of-both"
    assert other["subject"] == service.pseudonym("example-of-both")
    listed = service.ask("GET", "/v1/patients/example-of-both/scores", service.person(**both))
    assert [one["score_id"] for one in listed.json()["scores"]] == [ours]


def test_an_auditors_reach_does_not_widen_a_care_managers(service: Service) -> None:
    kept = service.kept(unit=OTHER_UNIT)
    token = service.person("care_manager", "auditor")
    assert service.ask("GET", f"/v1/scores/{kept}", token).status_code == 404


def test_a_token_for_one_patient_reads_that_patient(service: Service) -> None:
    kept, other = service.kept(), service.kept(patient="example-of-other")
    narrow = {"scope": "patient/RiskAssessment.crs", "patient": PATIENT}
    own = service.ask("GET", f"/v1/scores/{kept}", service.person("clinician", **narrow))
    assert own.status_code == 200
    refused = service.ask("GET", f"/v1/scores/{other}", service.person("clinician", **narrow))
    assert refused.status_code == 404
    assert details(last_entry(service))["why"] == "patient"


def test_broken_glass_opens_one_patient_to_one_person_and_says_so(service: Service) -> None:
    patient = "example-behind-glass"
    kept = service.kept(patient=patient, unit=OTHER_UNIT)

    def manager(subject: str = "example-on-call") -> str:
        return service.person("care_manager", subject=subject)

    assert service.ask("GET", f"/v1/scores/{kept}", manager()).status_code == 404
    answer = break_glass(service, manager(), patient)
    assert answer.status_code == 201
    assert answer.json()["minutes"] == 60
    entry = last_entry(service)
    assert (entry.event, entry.purpose) == ("glass_broken", "ETREAT")
    assert details(entry) == {"minutes": 60, "reason": "covering_unit"}
    assert service.ask("GET", f"/v1/scores/{kept}", manager()).status_code == 200
    assert last_entry(service).purpose == "ETREAT"
    assert service.ask("GET", f"/v1/patients/{patient}/scores", manager()).status_code == 200
    assert last_entry(service).purpose == "ETREAT"
    assert service.score(manager(), bundle_of(patient, OTHER_UNIT)).status_code == 200
    assert last_entry(service).purpose == "ETREAT"
    # Neither another patient, nor another person.
    assert service.score(manager(), bundle_of("example-other", OTHER_UNIT)).status_code == 403
    assert service.ask("GET", f"/v1/scores/{kept}", manager("example-other")).status_code == 404
    # Nor is a score of one's own unit an emergency.
    own = service.kept(patient=patient)
    assert service.ask("GET", f"/v1/scores/{own}", manager()).status_code == 200
    assert last_entry(service).purpose == "CAREMGT"


def test_the_glass_closes_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.identity import break_glass as glass

    patient, hour = "example-behind-glass-again", 3_600_000_000
    kept = service.kept(patient=patient, unit=OTHER_UNIT)

    def status() -> int:
        token = service.person("care_manager", subject="example-late")
        return service.ask("GET", f"/v1/scores/{kept}", token).status_code

    break_glass(service, service.person("care_manager", subject="example-late"), patient)
    assert status() == 200
    now = glass._now()
    monkeypatch.setattr(glass, "_now", lambda: now + hour)
    assert status() == 404


def test_broken_glass_lifts_no_opt_out(service: Service) -> None:
    patient = "example-who-said-no"
    kept = service.kept(patient=patient, unit=OTHER_UNIT)
    before = service.opt_out.read_text()
    service.opt_out.write_text(before + patient + "\n")
    token = service.person("care_manager", subject="example-in-a-hurry")
    break_glass(service, token, patient, reason="emergency_treatment")
    try:
        token = service.person("care_manager", subject="example-in-a-hurry")
        assert service.ask("GET", f"/v1/scores/{kept}", token).status_code == 404
        assert details(last_entry(service))["why"] == "opted_out"
    finally:
        service.opt_out.write_text(before)


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "canary-reason"},
        {"explanation": "too short"},
        {"explanation": " " * 20},
        {"explanation": "x" * 1001},
        {"other": "field"},
    ],
)
def test_without_a_proper_reason_no_glass_is_broken(service: Service, body: dict[str, str]) -> None:
    before = count_of(service, "broken_glass")
    answer = break_glass(service, service.person("clinician"), PATIENT, **body)
    assert answer.status_code == 422
    assert "canary" not in answer.text
    assert count_of(service, "broken_glass") == before


def test_breaking_the_glass_does_not_tell_who_is_a_patient(service: Service) -> None:
    service.kept()
    token = service.person
    known = break_glass(service, token("clinician"), PATIENT).json()
    unknown = break_glass(service, token("clinician"), "example-of-nowhere").json()
    assert known.pop("until")[:10] == unknown.pop("until")[:10]
    assert known == unknown
