"""The API's documentation is part of the API: complete, and true to what is sent."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from service.fhir_out.outcome import OperationOutcome
from service.problems import Problem
from service.score import NotScored, Scored


@pytest.fixture(scope="module")
def document(client: Any) -> dict[str, Any]:
    content: dict[str, Any] = client.get("/openapi.json").json()
    return content


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_all_routes_are_documented(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == {
        "POST /v1/score",
        "GET /v1/scores/{score_id}",
        "GET /v1/patients/{patient_id}/scores",
        "POST /v1/patients/{patient_id}/break-glass",
        "GET /cds-services",
        "POST /cds-services/{service_id}",
        "POST /cds-services/{service_id}/feedback",
        "GET /v1/worklist",
        "GET /v1/worklist.csv",
        "GET /v1/worklist/capacity",
        "GET /v1/month",
        "GET /v1/forecast",
        "GET /fhir/List/work-list",
        "GET /fhir/Group/work-list",
        "GET /v1/follow-ups/{stay}",
        "GET /v1/follow-ups/{stay}/changes",
        "POST /v1/follow-ups/{stay}/changes",
        "GET /fhir/Task/{stay}",
        "PUT /fhir/Task/{stay}",
        "GET /v1/model",
        "POST /oauth/token",
        "GET /oauth/jwks",
        "GET /.well-known/smart-configuration",
        "GET /v1/patients/{id}/disclosures",
        "POST /fhir/$readmission-risk",
        "GET /fhir/RiskAssessment",
        "POST /fhir/RiskAssessment/_search",
        "GET /fhir/RiskAssessment/{score_id}",
        "GET /fhir/.well-known/smart-configuration",
        "POST /fhir/subscriptions/{name}",
        "GET /fhir/metadata",
        "GET /fhir/OperationDefinition/readmission-risk",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }


def test_every_route_has_summary_description_tag_and_example(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        assert set(operation["tags"]) <= described, name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            for content in response["content"].values():
                assert "example" in content or "examples" in content, (name, status)
                assert content["schema"], (name, status)
        for parameter in operation.get("parameters", []):
            assert parameter["description"], name
            assert parameter["schema"]["examples"], name


def test_every_error_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert "500" in operation["responses"], name
        for status, response in operation["responses"].items():
            if int(status) < 400 or (name, status) == ("POST /oauth/token", "400"):
                continue  # that one has the form that OAuth gives it (RFC 6749, section 5.2)
            if "/fhir" in name:
                content = response["content"]["application/fhir+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/OperationOutcome"}
                msgspec.convert(content["example"], OperationOutcome)
                continue
            assert list(response["content"]) == ["application/problem+json"], (name, status)
            content = response["content"]["application/problem+json"]
            # A conflict is a problem that says, besides, how things are now.
            kind = "Conflict" if status == "409" else "Problem"
            assert content["schema"] == {"$ref": f"#/components/schemas/{kind}"}
            example = msgspec.convert(content["example"], Problem)
            assert example.status == int(status)


def test_the_score_route_documents_the_errors_it_gives(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/score"]["post"]["responses"]
    expected = "200 400 401 403 408 413 414 415 421 422 429 431 500 503"
    assert set(responses) == set(expected.split())


def test_the_examples_are_what_would_be_sent(document: dict[str, Any], client: Any) -> None:
    post = document["paths"]["/v1/score"]["post"]
    examples = document["components"]["examples"]
    assert isinstance(msgspec.convert(examples["scored"]["value"], Scored | NotScored), Scored)
    assert isinstance(
        msgspec.convert(examples["not_scored"]["value"], Scored | NotScored), NotScored
    )
    for content in post["requestBody"]["content"].values():
        answer = client.score(content["example"]).json()
        assert answer.keys() == examples["scored"]["value"].keys() | {"status"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references
    assert references <= set(schemas)
    named = set(re.findall(r'"#/components/examples/([^"]+)"', json.dumps(document)))
    assert named == set(document["components"]["examples"])


def test_no_schema_is_one_of_fastapis_own(document: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


def test_the_schema_tells_a_score_from_a_refusal(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Scored"]["properties"]["status"]["enum"] == ["scored"]
    assert schemas["NotScored"]["properties"]["status"]["enum"] == ["not_scored"]
    assert "probability" not in schemas["NotScored"]["properties"]


def test_the_model_route_tells_every_input_with_its_rationale(client: Any, model: Any) -> None:
    described = client.get("/v1/model").json()
    assert described["model"] == {"name": "linear", "version": "1", "run_id": "0000"}
    assert [one["name"] for one in described["inputs"]] == [f.name for f in model.features]
    assert all(one["rationale"] and one["reference"] for one in described["inputs"])


def test_ready_is_said_once_there_is_a_model(client: Any) -> None:
    assert client.get("/readyz").status_code == 200
