"""The FHIR side: what it claims it does, what it sends is R4, and a probability is a fraction."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from listed_patients import listed, put_on_the_list, stay_of

from service import examples
from service.fhir_out import examples as fhir_examples
from service.fhir_out.capability import INTERACTIONS, OPERATIONS
from service.fhir_out.search import NAMES
from service.identity.access import accesses
from service.score import Scored

OPERATION = "/fhir/$readmission-risk"
SEARCH = "/fhir/RiskAssessment"
PATIENT = "example-patient"
STAY = "example-stay"


def resource_of(answer: Any, status: int = 200) -> dict[str, Any]:
    """What was answered, held to R4, in a Bundle too."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    content: dict[str, Any] = answer.json()
    valid(content)
    if content["resourceType"] == "Bundle":
        for entry in content.get("entry", []):
            valid(entry["resource"])
    return content


def valid(resource: dict[str, Any]) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def issue_of(answer: Any, status: int) -> dict[str, Any]:
    content = resource_of(answer, status)
    assert content["resourceType"] == "OperationOutcome"
    (issue,) = content["issue"]
    return dict(issue)


def asked(client: Any, body: Any = None, **parameters: str) -> Any:
    return client.request("POST", OPERATION, json=body or examples.BUNDLE, params=parameters)


def by_type(bundle: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["resource"]["resourceType"]: one["resource"] for one in bundle["entry"]}


def parameters_of(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parameters)}


def found(client: Any, **parameters: Any) -> dict[str, Any]:
    return resource_of(client.get(SEARCH, params=parameters))


def matches(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", [])
    return [one["resource"] for one in entries if one["search"]["mode"] == "match"]


def test_the_operation_says_what_the_score_says_and_as_a_fraction(client: Any) -> None:
    scored = client.score().json()
    bundle = by_type(resource_of(asked(client)))
    assessment = bundle["RiskAssessment"]
    (prediction,) = assessment["prediction"]
    assert prediction["probabilityDecimal"] == pytest.approx(scored["probability"], abs=1e-6)
    assert 0 < prediction["probabilityDecimal"] < 1
    assert bundle["Device"]["id"] == assessment["performer"]["reference"].removeprefix("Device/")
    assert bundle["Provenance"]["target"] == [{"reference": f"RiskAssessment/{assessment['id']}"}]
    assert ("Flag" in bundle) is (scored["band"] == "high")


def test_what_the_operation_gave_can_be_read_again_on_both_sides(client: Any) -> None:
    given = by_type(resource_of(asked(client)))["RiskAssessment"]
    answer = client.get(f"{SEARCH}/{given['id']}")
    assert resource_of(answer) == given
    assert answer.headers["last-modified"].endswith("GMT")
    assert client.get(f"/v1/scores/{given['id']}").json()["probability"] == pytest.approx(
        given["prediction"][0]["probabilityDecimal"], abs=1e-6
    )


@pytest.mark.parametrize("form", ["a Bundle", "single resources"])
def test_parameters_say_the_same_as_a_bundle(client: Any, form: str) -> None:
    resources = [entry["resource"] for entry in examples.BUNDLE["entry"]]
    records = [examples.BUNDLE] if form == "a Bundle" else resources
    body = parameters_of(
        *({"name": "record", "resource": one} for one in records),
        {"name": "encounter", "valueId": STAY},
        {"name": "asOf", "valueDateTime": "2026-03-09T11:30:00Z"},
    )
    whole = by_type(resource_of(asked(client, encounter=STAY, asOf="2026-03-09T11:30:00Z")))
    parts = by_type(resource_of(asked(client, body)))
    assert parts["RiskAssessment"]["prediction"] == whole["RiskAssessment"]["prediction"]


RECORD = {"name": "record", "resource": examples.BUNDLE}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (parameters_of(), 422),
        (parameters_of({"name": "record"}), 422),
        (parameters_of({"name": "records", "resource": examples.BUNDLE}), 422),
        (parameters_of(RECORD, RECORD), 422),
        (parameters_of(RECORD, *[{"name": "encounter", "valueId": STAY}] * 2), 422),
        (parameters_of(RECORD, {"name": "encounter", "valueInteger": 1}), 422),
        (parameters_of(RECORD, {"name": "asOf", "valueDateTime": "2026-03-09"}), 422),
        (parameters_of({"name": "record", "resource": {}}), 400),
        (parameters_of({"name": 7}), 400),
        ({"resourceType": "Patient", "id": PATIENT}, 400),
        ({"no": "FHIR"}, 400),
    ],
)
def test_what_cannot_be_meant_one_way_is_refused(client: Any, body: Any, status: int) -> None:
    assert issue_of(asked(client, body), status)["severity"] == "error"


def test_a_key_that_comes_twice_is_refused(client: Any) -> None:
    body = json.dumps(parameters_of(RECORD)).replace(
        '"parameter"', '"parameter": [], "parameter"', 1
    )
    headers = {"Content-Type": "application/fhir+json"}
    issue_of(client.request("POST", OPERATION, content=body, headers=headers), 400)


def test_a_stay_without_a_risk_has_a_reason_and_no_assessment(
    client: Any, bundle: Any, resource: Any
) -> None:
    resource(STAY)["hospitalization"]["dischargeDisposition"] = {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
                "code": "aadvice",
            }
        ]
    }
    told = by_type(resource_of(asked(client, bundle)))
    assert set(told) == {"OperationOutcome"}
    (issue,) = told["OperationOutcome"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "business-rule")
    assert issue["details"]["coding"][0]["code"] == "against_advice"
    kept = told["OperationOutcome"]["id"]
    assert client.get(f"/v1/scores/{kept}").json()["status"] == "not_scored"
    assert issue_of(client.get(f"{SEARCH}/{kept}"), 404)["code"] == "not-found"
    assert kept not in [one["id"] for one in matches(found(client, patient=PATIENT, _count="100"))]


def test_the_search_goes_through_all_pages_the_newest_first(client_with: Any) -> None:
    client = client_with()
    made = [by_type(asked(client).json())["RiskAssessment"]["id"] for _ in range(5)]
    seen: list[str] = []
    page = found(client, patient=f"Patient/{PATIENT}", _count="2", _sort="-date")
    while True:
        assert page["total"] == 5
        seen += [one["id"] for one in matches(page)]
        links = {one["relation"]: one["url"] for one in page["link"]}
        if "next" not in links:
            break
        page = resource_of(client.get(links["next"].partition("8000")[2]))
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("narrowed", "there"),
    [
        ({"encounter": f"Encounter/{STAY}"}, True),
        ({"encounter": "another-stay"}, False),
        ({"date": "ge2020-01-01"}, True),
        ({"date": "lt2020-01-01"}, False),
        ({"date": ["ge2020", "lt2200"]}, True),
        ({"date": ["ge2020", "lt2021-05"]}, False),
        ({"date": "2020-01-01T10:00:00Z"}, False),
        ({"_id": "no-id-of-ours"}, False),
    ],
)
def test_a_search_is_narrowed(client: Any, narrowed: dict[str, Any], there: bool) -> None:
    asked(client)
    page = found(client, patient=PATIENT, **narrowed)
    assert (page["total"] > 0, bool(matches(page))) == (there, there)


def test_a_moment_is_found_by_its_own_second_day_and_year(client: Any) -> None:
    made = by_type(asked(client).json())["RiskAssessment"]
    at = made["occurrenceDateTime"]
    for date in (at, at[:10], at[:7], at[:4], f"ge{at}", f"le{at}"):
        assert found(client, _id=made["id"], date=date)["total"] == 1, date
    for date in (f"gt{at}", f"lt{at}", f"gt{at[:4]}", f"lt{at[:10]}"):
        assert found(client, _id=made["id"], date=date)["total"] == 0, date


def test_an_encounter_or_an_id_is_enough(client: Any) -> None:
    made = by_type(asked(client).json())["RiskAssessment"]["id"]
    assert made in [one["id"] for one in matches(found(client, encounter=STAY, _count="100"))]
    assert [one["id"] for one in matches(found(client, _id=made))] == [made]
    assert found(client, encounter="nobody-was-here")["total"] == 0


def test_a_summary_holds_the_elements_of_r4_and_says_that_it_is_one(client: Any) -> None:
    asked(client)
    (one,) = matches(found(client, patient=PATIENT, _count="1", _summary="true"))
    assert "prediction" not in one
    assert one["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert one["meta"]["tag"][0]["code"] == "SUBSETTED"
    for counting in ({"_summary": "count"}, {"_count": "0"}):
        page = found(client, patient=PATIENT, **counting)
        assert page["total"] > 0
        assert "entry" not in page


@pytest.mark.parametrize(
    "parameters",
    [
        {"patient": f"Group/{PATIENT}"},
        {"patient": "a,b"},
        {"patient": ["a", "b"]},
        {"patient:Patient": PATIENT},
        {"patient.name": "Example"},
        {"date": "ap2026-03-01"},
        {"date": "2026-02-30"},
        {"date": "yesterday"},
        {"_sort": "date"},
        {"_summary": "text"},
        {"_count": "-1"},
        {"_page": "2"},
        {"_id": "a,b"},
    ],
)
def test_a_search_that_would_be_answered_otherwise_than_asked_is_refused(
    client: Any, parameters: dict[str, Any]
) -> None:
    answer = client.get(SEARCH, params={"patient": PATIENT} | parameters)
    assert issue_of(answer, 400)["code"] == "invalid"


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", f"patient={PATIENT}&_count=1"),
        ("?_count=1", f"patient={PATIENT}"),
        (f"?patient={PATIENT}&_count=1", ""),
    ],
)
def test_a_search_that_is_posted_is_the_same_search(client: Any, query: str, form: str) -> None:
    asked(client)
    posted = client.request("POST", f"{SEARCH}/_search{query}", content=form, headers=FORM)
    page = resource_of(posted)
    expected = found(client, patient=PATIENT, _count="1")
    assert matches(page) == matches(expected) != []
    assert page["total"] == expected["total"]
    relations = {one["relation"] for one in page["link"]}
    assert relations == {one["relation"] for one in expected["link"]}


def test_a_range_of_dates_that_is_posted_keeps_both_its_ends(client: Any) -> None:
    asked(client)
    for form, there in (
        (f"patient={PATIENT}&date=ge2000&date=le2100", True),
        (f"patient={PATIENT}&date=ge2000&date=le2001", False),
    ):
        answer = client.request("POST", f"{SEARCH}/_search", content=form, headers=FORM)
        assert bool(matches(resource_of(answer))) is there


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        ({"content": f"patient={PATIENT}&patient=b"}, FORM, 400),
        ({"content": f"patient={PATIENT}&_format=xml"}, FORM, 406),
        ({"content": "patient=%FF"}, FORM, 400),
        ({"content": "a=1&" * 300}, FORM, 400),
        ({"content": "a" * 70_000}, FORM, 413),
        ({"json": {"patient": PATIENT}}, {}, 415),
        ({}, {}, 400),
    ],
)
def test_a_form_that_is_no_search_is_refused(
    client: Any, sent: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    issue_of(client.request("POST", f"{SEARCH}/_search", headers=headers, **sent), status)


def test_a_search_for_everybody_is_too_costly(client: Any) -> None:
    for parameters in ({}, {"date": "2026"}, {"_count": "1"}):
        assert issue_of(client.get(SEARCH, params=parameters), 400)["code"] == "too-costly"


def test_unknown_parameters_are_passed_over_or_refused_as_the_caller_prefers(client: Any) -> None:
    asked(client)
    sent = {"patient": PATIENT, "colour": "blue"}
    page = resource_of(client.get(SEARCH, params=sent))
    assert matches(page)
    assert page["entry"][-1]["search"]["mode"] == "outcome"
    assert "colour" not in page["link"][0]["url"]
    for prefer in ("handling=strict", "respond-async, handling=strict"):
        issue_of(client.get(SEARCH, params=sent, headers={"Prefer": prefer}), 400)
    lenient = client.get(SEARCH, params=sent, headers={"Prefer": "handling=lenient"})
    assert resource_of(lenient) == page


def claims(client: Any) -> dict[str, Any]:
    (rest,) = resource_of(client.get("/fhir/metadata"))["rest"]
    return dict(rest)


def test_every_claim_of_the_capability_statement_is_kept(client_with: Any) -> None:
    """Each interaction, search parameter and operation that is claimed is asked."""
    client = client_with()
    given = by_type(resource_of(asked(client)))["RiskAssessment"]
    keeping = client.app.state.serving.keeping
    put_on_the_list(keeping, [listed(keeping, PATIENT)])
    ids = {
        "RiskAssessment": given["id"],
        "List": "work-list",
        "Group": "work-list",
        "Task": stay_of(keeping, PATIENT),
        "OperationDefinition": "readmission-risk",
    }
    values = {
        "patient": given["subject"]["reference"],
        "encounter": given["encounter"]["reference"],
        "date": given["occurrenceDateTime"],
        "_id": given["id"],
    }
    done = []
    for one in claims(client)["resource"]:
        for interaction in one["interaction"]:
            done.append((one["type"], interaction["code"]))
            if interaction["code"] == "read":
                path = f"/fhir/{one['type']}/{ids[one['type']]}"
                there = resource_of(client.get(path))
                assert there["resourceType"] == one["type"]
            if interaction["code"] == "update":
                path = f"/fhir/{one['type']}/{ids[one['type']]}"
                there["note"] = [{"text": "Asked for a call in the morning."}]
                resource_of(client.request("PUT", path, json=there))
        for parameter in one.get("searchParam", []):
            narrowed = {"_id": given["id"], parameter["name"]: values[parameter["name"]]}
            answer = client.get(
                f"/fhir/{one['type']}", params=narrowed, headers={"Prefer": "handling=strict"}
            )
            assert [each["id"] for each in matches(resource_of(answer))] == [given["id"]]
    assert done == list(dict.fromkeys(INTERACTIONS.values()))
    for operation in claims(client)["operation"]:
        path = operation["definition"].partition("8000")[2]
        definition = resource_of(client.get(path))
        assert definition["code"] == operation["name"]
        assert resource_of(client.request("POST", f"/fhir/${operation['name']}", json={}), 400)


def test_every_fhir_route_is_claimed_and_nothing_else(client: Any) -> None:
    there = {f"{one.method} {one.path}" for one in accesses(client.app) if "/fhir/" in one.path}
    of_the_whole = {"GET /fhir/metadata", "GET /fhir/.well-known/smart-configuration"}
    # The endpoint of a subscription's channel is no interaction with a resource.
    of_the_whole.add("POST /fhir/subscriptions/{name}")
    assert there - of_the_whole == {*INTERACTIONS, *OPERATIONS}


def test_the_statement_says_release_security_and_token_endpoint(client: Any) -> None:
    statement = resource_of(client.get("/fhir/metadata"))
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    security = claims(client)["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    (token,) = security["extension"][0]["extension"]
    configuration = client.get("/fhir/.well-known/smart-configuration").json()
    assert token["valueUri"] == configuration["token_endpoint"]
    assert configuration == client.get("/.well-known/smart-configuration").json()


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/fhir/Patient/example-patient", "GET", 404, "not-found"),
        ("/fhir/RiskAssessment/" + "0" * 32, "GET", 404, "not-found"),
        ("/fhir/RiskAssessment/%00", "GET", 404, "not-found"),
        ("/fhir/RiskAssessment", "DELETE", 405, "not-supported"),
        ("/fhir/metadata?_format=xml", "GET", 406, "not-supported"),
        ("/fhir/$readmission-risk", "POST", 415, "not-supported"),
        ("/fhir/metadata?" + "a" * 20_000, "GET", 414, "too-long"),
    ],
)
def test_every_error_below_fhir_is_an_operation_outcome(
    client: Any, path: str, method: str, status: int, code: str
) -> None:
    answer = client.request(method, path, headers={"Accept": "text/html, */*;q=0.1"})
    assert issue_of(answer, status)["code"] == code


def test_without_a_model_the_outcome_says_when_to_come_back(
    client_loading: Any, tmp_path: Any
) -> None:
    answer = asked(client_loading(tmp_path / "none"))
    assert issue_of(answer, 503)["code"] == "transient"
    assert answer.headers["retry-after"]


def test_an_unforeseen_error_has_an_incident_and_no_message(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("Canary, Mary")

    monkeypatch.setattr("service.score_records.read_bundle", fail)
    issue = issue_of(asked(client), 500)
    assert issue["code"] == "exception"
    assert "Incident" in issue["diagnostics"]
    assert "Canary" not in json.dumps(issue)


def test_the_documented_examples_are_what_the_code_makes_and_valid() -> None:
    made = fhir_examples.made()
    assert json.loads(fhir_examples.FILE.read_bytes()) == made, "run service.fhir_out.examples"
    for one in made.values():
        valid(one)
    assert isinstance(examples.SCORED, Scored)


def test_every_search_parameter_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "fhir-out.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_]+)` \|", guide, re.MULTILINE)) == NAMES
