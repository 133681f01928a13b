"""CDS Hooks 2.0, discovery to card: a test for each statement, its docstring the statement.

``docs/conformance/cds-hooks.md`` lists them with what they found. Sources: the specification (HL7
CDS Hooks 2.0), the pages of its two hooks, and the invariants of its FHIR Shorthand.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from calling_ehrs import EHR, ORIGIN
from fhir.resources.R4B import get_fhir_model_class
from hook_calls import DISCHARGE, VIEW, call_of
from trusting_service import bundle_of

AUTHORIZATION = {
    "access_token": "example-access-token",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/*.read",
    "subject": "readmit",
}
SERVER = "https://ehr.example/fhir"


def values_in(content: Any) -> Iterator[Any]:
    """Every value in JSON, at whatever depth."""
    yield content
    parts = content.values() if isinstance(content, dict) else content
    if isinstance(content, dict | list):
        for part in parts:
            yield from values_in(part)


def templates(ehr: EHR) -> list[str]:
    services = ehr.discover().json()["services"]
    return [template for service in services for template in service["prefetch"].values()]


def actions_of(card: dict[str, Any]) -> list[dict[str, Any]]:
    actions = [action for one in card["suggestions"] for action in one["actions"]]
    assert actions
    return actions


# Discovery


def test_discovery(ehr: EHR) -> None:
    """Discovery answers 200 with an object that holds an array `services`.

    Section: Discovery, Response
    """
    answer = ehr.discover()
    assert answer.status_code == 200
    assert len(answer.json()["services"]) == 2


def test_service_fields(ehr: EHR) -> None:
    """Each service has `hook`, `description` and `id`, and SHOULD have a `title`.

    Section: Discovery, Response
    """
    for service in ehr.discover().json()["services"]:
        assert all(service[name] for name in ("hook", "description", "id", "title"))


def test_prefetch_is_an_object_of_strings(ehr: EHR) -> None:
    """`prefetch` is an object of keys and FHIR queries, both strings.

    Section: Discovery, Response
    """
    for service in ehr.discover().json()["services"]:
        assert service["prefetch"]
        assert all(isinstance(query, str) for query in service["prefetch"].values())


def test_discovery_holds_nothing_empty(ehr: EHR) -> None:
    """What discovery answers holds no null and nothing empty.

    Section: Use of JSON
    """
    assert all(value not in (None, "", [], {}) for value in values_in(ehr.discover().json()))


def test_prefetch_tokens(ehr: EHR) -> None:
    """Tokens of prefetch templates stand in `{{` and `}}` and name a root-level field of the
    hook's context alone.

    Section: Prefetch tokens
    """
    for template in templates(ehr):
        assert set(re.findall(r"\{\{(.*?)\}\}", template)) == {"context.patientId"}
        assert not re.search(r"[{}]", re.sub(r"\{\{[A-Za-z.]+\}\}", "", template))


def test_prefetch_queries(ehr: EHR) -> None:
    """Prefetch templates use reads of an instance and searches of a type alone, with references,
    tokens by equality, `_count` and `_sort`.

    Section: Prefetch query restrictions
    """
    for template in templates(ehr):
        path, _, query = template.partition("?")
        assert re.fullmatch(r"[A-Z][A-Za-z]+" + ("" if query else r"/\{\{[A-Za-z.]+\}\}"), path)
        names = {name for name, _ in parse_qsl(query, strict_parsing=bool(query))}
        assert names <= {"patient", "category", "status", "_count", "_sort"}


def test_service_url(ehr: EHR) -> None:
    """A service is called at `{base}/cds-services/{id}` for each discovered id.

    Section: Calling a CDS Service, HTTP Request
    """
    for service in ehr.discover().json()["services"]:
        answer = ehr.call({}, f"/cds-services/{service['id']}")
        assert answer.status_code == 400  # it is there, and this is no call


def test_unknown_service(ehr: EHR) -> None:
    """A service that was not discovered is not there: the answer is a 4xx.

    Section: Calling a CDS Service, HTTP Request
    """
    path = "/cds-services/of-another"
    assert ehr.call(call_of(bundle_of("p")), path).status_code == 404


# Calls


@pytest.mark.parametrize("name", ["hook", "hookInstance", "context"])
def test_required_of_a_call(ehr: EHR, name: str) -> None:
    """A call without `hook`, `hookInstance` or `context` is refused.

    Section: Calling a CDS Service, HTTP Request
    """
    assert ehr.call(call_of(bundle_of("p"), **{name: None})).status_code == 400


def test_hook_instance(ehr: EHR) -> None:
    """`hookInstance` is a UUID: another is refused.

    Section: hookInstance
    """
    assert ehr.call(call_of(bundle_of("p"), hookInstance="17")).status_code == 400


def test_hook_of_the_service(ehr: EHR) -> None:
    """A service is invoked on the hook that it was discovered with: on another, it refuses.

    Section: Discovery, Response
    """
    assert ehr.call(call_of(bundle_of("p"), hook="patient-view")).status_code == 400


@pytest.mark.parametrize("name", ["userId", "patientId", "encounterId"])
def test_required_context(ehr: EHR, name: str) -> None:
    """`userId`, `patientId` and `encounterId` are REQUIRED in the context.

    Section: Hook encounter-discharge, Context
    """
    made = call_of(bundle_of("p"))
    made["context"] = {key: value for key, value in made["context"].items() if key != name}
    assert ehr.call(made).status_code == 400


@pytest.mark.parametrize("user", ["Practitioner", "PractitionerRole"])
def test_users_at_discharge(ehr: EHR, patient: str, user: str) -> None:
    """The user is a Practitioner or a PractitionerRole.

    Section: Hook encounter-discharge, Context
    """
    made = call_of(bundle_of(patient))
    made["context"]["userId"] = f"{user}/example"
    assert ehr.call(made).status_code == 200
    made["context"]["userId"] = "Patient/example"
    assert ehr.call(made).status_code == 400


@pytest.mark.parametrize("name", ["userId", "patientId"])
def test_required_context_of_a_view(ehr: EHR, name: str) -> None:
    """`userId` and `patientId` are REQUIRED in the context.

    Section: Hook patient-view, Context
    """
    made = call_of(bundle_of("p"), hook="patient-view")
    made["context"] = {key: value for key, value in made["context"].items() if key != name}
    assert ehr.call(made, VIEW).status_code == 400


def test_optional_context(ehr: EHR, patient: str) -> None:
    """`encounterId` is OPTIONAL in the context.

    Section: Hook patient-view, Context
    """
    made = call_of(bundle_of(patient), hook="patient-view")
    del made["context"]["encounterId"]
    assert ehr.call(made, VIEW).status_code == 200


@pytest.mark.parametrize("user", ["Practitioner", "PractitionerRole", "Patient", "RelatedPerson"])
def test_users_of_a_view(ehr: EHR, patient: str, user: str) -> None:
    """The user is a Practitioner, a PractitionerRole, a Patient or a RelatedPerson.

    Section: Hook patient-view, Context
    """
    made = call_of(bundle_of(patient), hook="patient-view")
    made["context"]["userId"] = f"{user}/example"
    assert ehr.call(made, VIEW).status_code == 200


def test_cds_r_1(ehr: EHR) -> None:
    """cds-r-1: if fhirAuthorization details are provided, a fhirServer SHALL be specified.

    Section: Invariants; Calling a CDS Service, HTTP Request
    """
    made = call_of(bundle_of("p"), fhirAuthorization=AUTHORIZATION)
    assert ehr.call(made).status_code == 400


def test_cds_r_2(ehr: EHR, patient: str) -> None:
    """cds-r-2: with patient scopes, `patient` SHOULD be populated: a call without is still read.

    Section: Invariants; Passing the Access Token to the CDS Service
    """
    authorization = {**AUTHORIZATION, "scope": "patient/*.read"}
    made = call_of(bundle_of(patient), fhirAuthorization=authorization)
    assert ehr.call({**made, "fhirServer": SERVER}).status_code == 200


@pytest.mark.parametrize("name", list(AUTHORIZATION))
def test_required_of_authorization(ehr: EHR, name: str) -> None:
    """`access_token`, `token_type` (`Bearer`), `expires_in`, `scope` and `subject` are REQUIRED in
    fhirAuthorization.

    Section: Passing the Access Token to the CDS Service
    """
    lacking = {key: value for key, value in AUTHORIZATION.items() if key != name}
    for given in (lacking, {**AUTHORIZATION, "token_type": "MAC"}):
        made = call_of(bundle_of("p"), fhirServer=SERVER, fhirAuthorization=given)
        assert ehr.call(made).status_code == 400


def test_access_token_is_transient(ehr: EHR, patient: str) -> None:
    """The access token MUST be treated as transient: it is in no file of the service afterwards.

    Section: Passing the Access Token to the CDS Service
    """
    secret = f"example-access-token-{patient}"
    authorization = {**AUTHORIZATION, "access_token": secret}
    made = call_of(bundle_of(patient), fhirServer=SERVER, fhirAuthorization=authorization)
    assert ehr.call(made).status_code == 200
    kept = [file for file in ehr.service.opt_out.parent.rglob("*") if file.is_file()]
    assert kept
    assert not any(secret.encode() in file.read_bytes() for file in kept)


def test_unknown_elements(ehr: EHR, patient: str) -> None:
    """A service passes over what it does not know: `extension`, and fields of later versions.

    Section: Extensions
    """
    made = call_of(bundle_of(patient), extension={"com.example": 1}, version="3.0")
    assert ehr.call(made).status_code == 200


# Prefetch


@pytest.mark.parametrize("key", ["patient", "encounters", "laboratory"])
def test_prefetch_may_lack_a_key(ehr: EHR, key: str) -> None:
    """A client MAY leave out a prefetch key; a service that still lacks data SHALL answer 412.

    Section: Prefetch Template
    """
    made = call_of(bundle_of("p"))
    del made["prefetch"][key]
    assert ehr.call(made).status_code == 412


def test_no_prefetch(ehr: EHR) -> None:
    """`prefetch` is OPTIONAL: without any, and without access to a FHIR server, the answer is 412.

    Section: Calling a CDS Service, HTTP Request
    """
    assert ehr.call(call_of(bundle_of("p"), prefetch=None)).status_code == 412


def test_null_means_no_data(ehr: EHR, patient: str) -> None:
    """A prefetch value of `null` means that there is no data.

    Section: Prefetch Template
    """
    made = call_of(bundle_of(patient))
    made["prefetch"]["procedures"] = None
    assert ehr.call(made).status_code == 200


def test_operation_outcome(ehr: EHR) -> None:
    """Prefetched data SHOULD be checked for OperationOutcomes: one is no data, the answer 412.

    Section: Prefetch Template
    """
    made = call_of(bundle_of("p"))
    made["prefetch"]["laboratory"] = {"resourceType": "OperationOutcome", "issue": []}
    assert ehr.call(made).status_code == 412


def test_paginated_prefetch(ehr: EHR) -> None:
    """A prefetched Bundle MAY be paginated: one whose further pages cannot be had is answered 412,
    and not as if it were whole.

    Section: Prefetch Template
    """
    made = call_of(bundle_of("p"))
    link = {"relation": "next", "url": f"{SERVER}?page=2"}
    made["prefetch"]["laboratory"]["link"] = [link]
    assert ehr.call(made).status_code == 412


def test_unasked_prefetch(ehr: EHR, patient: str) -> None:
    """Data that the service did not ask for is passed over, whatever it is.

    Section: Prefetch Template
    """
    made = call_of(bundle_of(patient))
    made["prefetch"]["of-another-service"] = {"resourceType": "Patient", "id": "somebody-else"}
    assert ehr.call(made).status_code == 200


# Answers


def test_answer(ehr: EHR, patient: str) -> None:
    """A successful answer is 200 with an object that holds an array `cards`, and beside it at most
    `systemActions`.

    Section: CDS Service Response
    """
    answer = ehr.call(call_of(bundle_of(patient)))
    assert answer.status_code == 200
    assert isinstance(answer.json()["cards"], list)
    assert set(answer.json()) <= {"cards", "systemActions"}


def test_system_actions(ehr: EHR, patient: str) -> None:
    """A system action is an action as a suggestion's: `type`, `description`, `resource`.

    Section: System Action
    """
    answer = ehr.call(call_of(bundle_of(patient))).json()
    if "systemActions" not in answer:
        pytest.skip("nothing is proposed that no human decides on")
    for action in answer["systemActions"]:
        assert {"type", "description"} <= set(action)


def test_no_guidance(ehr: EHR, patient: str) -> None:
    """A service without guidance SHOULD answer 200 with an empty array `cards`.

    Section: CDS Service Response, HTTP Response
    """
    ehr.card(patient)
    answer = ehr.call(call_of(bundle_of(patient)))
    assert (answer.status_code, answer.json()) == (200, {"cards": []})


def test_json(ehr: EHR, patient: str) -> None:
    """An answer is JSON, and says so.

    Section: Use of JSON
    """
    answer = ehr.call(call_of(bundle_of(patient)))
    assert answer.headers["content-type"] == "application/json"


def test_card_holds_nothing_empty(card: dict[str, Any]) -> None:
    """A card holds no null and nothing empty: what has no value is left out.

    Section: Use of JSON
    """
    assert all(value not in (None, "", [], {}) for value in values_in(card))


def test_card_fields(card: dict[str, Any]) -> None:
    """A card has a `summary` of fewer than 140 characters, an `indicator` of the three, and a
    `source` with a `label`.

    Section: Card Attributes
    """
    assert 0 < len(card["summary"]) < 140
    assert "\n" not in card["summary"]
    assert card["indicator"] in ("info", "warning", "critical")
    assert card["source"]["label"]


def test_card_uuid(ehr: EHR, patient: str) -> None:
    """`uuid` is the unique identifier of a card.

    Section: Card Attributes
    """
    first, second = ehr.card(patient)["uuid"], ehr.card(f"{patient}-2")["uuid"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first)
    assert first != second


def test_detail(card: dict[str, Any]) -> None:
    """`detail` MUST be GitHub Flavored Markdown: it has no HTML in it.

    Section: Card Attributes
    """
    assert not re.search(r"<[A-Za-z/!]", card["detail"])


def test_source(card: dict[str, Any]) -> None:
    """The source's `url` is absolute, and its `topic` a Coding.

    Section: Source
    """
    assert re.match(r"https?://[^/]+/", card["source"]["url"])
    assert card["source"]["topic"]["code"]
    assert card["source"]["topic"]["system"]


def test_links(card: dict[str, Any]) -> None:
    """A link has a `label`, a `url`, and the `type` `absolute` or `smart`.

    Section: Link
    """
    assert card["links"]
    for link in card["links"]:
        assert link["label"]
        assert re.match(r"https?://[^/]+/", link["url"])
        assert link["type"] in ("absolute", "smart")


def test_override_reasons(card: dict[str, Any]) -> None:
    """A Coding has a `code` and its `system`.

    Section: Data Types, Coding
    """
    assert card["overrideReasons"]
    assert all(one["code"] and one["system"] for one in card["overrideReasons"])


def test_suggestion_fields(card: dict[str, Any]) -> None:
    """A suggestion has a `label`, and a `uuid` by which it is reported.

    Section: Suggestion
    """
    assert all(one["label"] for one in card["suggestions"])
    uuids = {one["uuid"] for one in card["suggestions"]}
    assert len(uuids) == len(card["suggestions"])


def test_action_fields(card: dict[str, Any]) -> None:
    """An action has a `type` of `create`, `update` or `delete`, and a `description`.

    Section: Action
    """
    for action in actions_of(card):
        assert action["type"] in ("create", "update", "delete")
        assert action["description"]


def test_created_resource(card: dict[str, Any]) -> None:
    """With the type `create`, `resource` SHALL contain a new FHIR resource: one without an id.

    Section: Action
    """
    for action in actions_of(card):
        assert action["type"] == "create"
        resource = action["resource"]
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert "id" not in resource


def test_cds_resp_1(card: dict[str, Any]) -> None:
    """cds-resp-1: only one action can be suggested if selectionBehavior = at-most-one.

    Section: Invariants; Suggestion
    """
    recommended = [one for one in card["suggestions"] if one.get("isRecommended")]
    assert card["selectionBehavior"] != "at-most-one" or len(recommended) <= 1


def test_cds_resp_2(card: dict[str, Any]) -> None:
    """cds-resp-2: a resourceId, not a resource, must be provided when type = delete.

    Section: Invariants; Action
    """
    assert all(
        (action["type"] == "delete") == ("resourceId" in action) for action in actions_of(card)
    )


def test_cds_resp_3(card: dict[str, Any]) -> None:
    """cds-resp-3: appContext only for smart apps.

    Section: Invariants; Link
    """
    (link,) = card["links"]
    assert (link["type"], link["url"]) == ("smart", "http://127.0.0.1:8000/launch")
    assert link["appContext"]
    assert all(one["type"] == "smart" or "appContext" not in one for one in card["links"])


def test_cds_resp_4(card: dict[str, Any]) -> None:
    """cds-resp-4: the service MUST populate a display value for each override reason.

    Section: Invariants; Card Attributes
    """
    assert card["overrideReasons"]
    assert all(one["display"] for one in card["overrideReasons"])


def test_cds_resp_5(card: dict[str, Any]) -> None:
    """cds-resp-5: all suggestion actions must have a description.

    Section: Invariants; Action
    """
    assert all(action["description"] for action in actions_of(card))


def test_cds_resp_6(card: dict[str, Any]) -> None:
    """cds-resp-6: if suggestions are present, selectionBehavior MUST also be provided.

    Section: Invariants; Card Attributes
    """
    assert card["suggestions"]
    assert card["selectionBehavior"] in ("at-most-one", "any")


def test_cors(ehr: EHR) -> None:
    """Browser-based clients require CORS: a preflight is told that it may send Authorization and
    Content-Type.

    Section: Cross-Origin Resource Sharing
    """
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = ehr.service.ask("OPTIONS", DISCHARGE, headers=asks)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type"} <= {one.strip() for one in allowed.split(",")}
