"""Why a request asks: one of the purposes of its caller's roles, and on record."""

from typing import Any

import msgspec
import pytest
from trusting_service import Service

from service.database.audit_entries import entries

HEADER = "Purpose-Of-Use"


def purpose_on_record(service: Service) -> Any:
    with service.keeping.database.reading() as connection:
        return list(entries(connection))[-1].purpose


def status(service: Service, token: str, *named: str) -> int:
    kept = service.kept()
    headers = [(HEADER, name) for name in named]
    path = f"/v1/scores/{kept}"
    if len(named) > 1:  # a dictionary cannot hold a header twice
        return service.ask("GET", path, token, headers={HEADER: ", ".join(named)}).status_code
    return service.ask("GET", path, token, headers=dict(headers)).status_code


@pytest.mark.parametrize(
    ("role", "assumed"),
    [("clinician", "TREAT"), ("care_manager", "CAREMGT"), ("data_scientist", "HQUALIMP")],
)
def test_the_first_purpose_of_the_role_is_assumed(
    service: Service, role: str, assumed: str
) -> None:
    assert status(service, service.person(role)) == 200
    assert purpose_on_record(service) == assumed


def test_a_purpose_of_the_role_is_taken_and_entered(service: Service) -> None:
    assert status(service, service.person("data_scientist"), "HRESCH") == 200
    assert purpose_on_record(service) == "HRESCH"
    token = service.person("data_scientist", purpose_of_use="HRESCH")
    assert status(service, token) == 200
    assert purpose_on_record(service) == "HRESCH"


@pytest.mark.parametrize("named", ["HRESCH", "HMARKT", "canary", "treat", ""])
def test_a_purpose_that_is_none_of_the_roles_is_refused(service: Service, named: str) -> None:
    assert status(service, service.person("clinician"), named) == 403
    with service.keeping.database.reading() as connection:
        entry = list(entries(connection))[-1]
    assert (entry.event, entry.outcome) == ("access_refused", "refused")
    assert msgspec.json.decode(entry.details)["why"] == "purpose"


def test_only_roles_that_grant_the_access_have_a_say(service: Service) -> None:
    token = service.person("clinician", "administrator")
    assert status(service, token, "HSYSADMIN") == 403


def test_token_and_header_must_agree(service: Service) -> None:
    token = service.person("clinician", purpose_of_use="TREAT")
    assert status(service, token, "ETREAT") == 403
    assert status(service, token, "TREAT") == 200
    assert status(service, service.person("clinician"), "TREAT", "ETREAT") == 403


def test_a_system_names_any_purpose_and_treats_by_default(service: Service) -> None:
    scope = "system/RiskAssessment.r"
    assert status(service, service.system(scope)) == 200
    assert purpose_on_record(service) == "TREAT"
    assert status(service, service.system(scope), "HOPERAT") == 200
    assert purpose_on_record(service) == "HOPERAT"


@pytest.mark.parametrize("claimed", ["canary", 7, ["TREAT"]])
def test_a_token_whose_purpose_is_no_purpose_is_none(service: Service, claimed: Any) -> None:
    assert status(service, service.person("clinician", purpose_of_use=claimed)) == 401


def test_the_refusal_quotes_nothing(service: Service) -> None:
    answer = service.ask(
        "GET", "/v1/model", service.person("clinician"), headers={HEADER: "canary"}
    )
    problem = msgspec.json.decode(answer.content)
    assert (answer.status_code, problem["type"]) == (403, "urn:readmit:problem:forbidden")
    assert "canary" not in answer.text
