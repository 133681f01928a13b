"""CDS Hooks 2.0, a test for each statement: its docstring is the statement.

``docs/conformance/cds-hooks.md`` lists them; a test here holds that page to this file. Sources: the
specification (HL7 CDS Hooks 2.0) and the invariants of its FHIR Shorthand.
"""

import ast
import time
from pathlib import Path
from typing import Any

import pytest
from calling_ehrs import EHR, ORIGIN
from hook_calls import DISCHARGE, VIEW, call_of
from openid_provider import new_key, signed
from trusting_service import bundle_of

PAGE = Path(__file__).parents[2] / "docs" / "conformance" / "cds-hooks.md"
FEEDBACK = f"{DISCHARGE}/feedback"


# Discovery


def test_discovery(ehr: EHR) -> None:
    """Discovery answers 200 with an object that holds an array `services`."""
    answer = ehr.discover()
    assert answer.status_code == 200
    assert len(answer.json()["services"]) == 2


def test_service_fields(ehr: EHR) -> None:
    """Each service has `hook`, `description` and `id`, and SHOULD have a `title`."""
    for service in ehr.discover().json()["services"]:
        assert all(service[name] for name in ("hook", "description", "id", "title"))


def test_prefetch_tokens(sandbox: EHR) -> None:
    """Prefetch templates use only tokens of the hook's context, and only read or search."""
    for service in sandbox.discover().json()["services"]:
        for template in service["prefetch"].values():
            assert template.count("{{") == template.count("{{context.patientId}}") == 1
            assert not template.startswith(("http", "/"))


def test_service_url(ehr: EHR) -> None:
    """A service is called at `{base}/cds-services/{id}` for each discovered id."""
    for service in ehr.discover().json()["services"]:
        answer = ehr.call({}, f"/cds-services/{service['id']}")
        assert answer.status_code == 400  # it is there, and this is no call


# Calls


@pytest.mark.parametrize("name", ["hook", "hookInstance", "context"])
def test_required_of_a_call(sandbox: EHR, name: str) -> None:
    """A call without `hook`, `hookInstance` or `context` is refused."""
    assert sandbox.call(call_of(bundle_of("p"), **{name: None})).status_code == 400


@pytest.mark.parametrize("name", ["userId", "patientId", "encounterId"])
def test_required_context(sandbox: EHR, name: str) -> None:
    """encounter-discharge: `userId`, `patientId` and `encounterId` are REQUIRED in the context."""
    made = call_of(bundle_of("p"))
    made["context"] = {key: value for key, value in made["context"].items() if key != name}
    assert sandbox.call(made).status_code == 400


def test_optional_context(sandbox: EHR, patient: str) -> None:
    """patient-view: `encounterId` is OPTIONAL in the context."""
    made = call_of(bundle_of(patient), hook="patient-view")
    del made["context"]["encounterId"]
    assert sandbox.call(made, VIEW).status_code == 200


def test_cds_r_1(sandbox: EHR) -> None:
    """cds-r-1: if fhirAuthorization details are provided, a fhirServer SHALL be specified."""
    authorization = {
        "access_token": "example",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/*.read",
        "subject": "readmit",
    }
    made = call_of(bundle_of("p"), fhirAuthorization=authorization)
    assert sandbox.call(made).status_code == 400


def test_cds_r_2(sandbox: EHR, patient: str) -> None:
    """cds-r-2: with patient scopes, `patient` SHOULD be populated: a call without is still read."""
    authorization = {
        "access_token": "example",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.read",
        "subject": "readmit",
    }
    made = call_of(bundle_of(patient), fhirAuthorization=authorization)
    assert sandbox.call({**made, "fhirServer": "https://ehr.example/fhir"}).status_code == 200


def test_unknown_elements(sandbox: EHR, patient: str) -> None:
    """A service passes over what it does not know: extensions, and fields of later versions."""
    made = call_of(bundle_of(patient), extension={"example": 1}, version="3.0")
    assert sandbox.call(made).status_code == 200


def test_prefetch_may_lack_a_key(sandbox: EHR) -> None:
    """A client MAY leave out a prefetch key; a service that still lacks data answers 412."""
    made = call_of(bundle_of("p"))
    del made["prefetch"]["encounters"]
    assert sandbox.call(made).status_code == 412


def test_null_means_no_data(sandbox: EHR, patient: str) -> None:
    """A prefetch value of `null` means that there is no data."""
    made = call_of(bundle_of(patient))
    made["prefetch"]["procedures"] = None
    assert sandbox.call(made).status_code == 200


def test_operation_outcome(sandbox: EHR) -> None:
    """A prefetch value may be an OperationOutcome: it is no data, and the answer is 412."""
    made = call_of(bundle_of("p"))
    made["prefetch"]["laboratory"] = {"resourceType": "OperationOutcome", "issue": []}
    assert sandbox.call(made).status_code == 412


# Answers


def test_no_guidance(sandbox: EHR, patient: str) -> None:
    """A service without guidance answers 200 with an empty array `cards`."""
    sandbox.card(patient)
    answer = sandbox.call(call_of(bundle_of(patient)))
    assert (answer.status_code, answer.json()) == (200, {"cards": []})


def test_json(ehr: EHR, patient: str) -> None:
    """An answer is JSON, and says so."""
    answer = ehr.call(call_of(bundle_of(patient)))
    assert answer.headers["content-type"] == "application/json"


def test_card_fields(card: dict[str, Any]) -> None:
    """A card has `summary` (< 140 characters), `indicator` and `source`, whose `label` is there."""
    assert 0 < len(card["summary"]) < 140
    assert card["indicator"] in ("info", "warning", "critical")
    assert card["source"]["label"]


def test_cds_resp_1(card: dict[str, Any]) -> None:
    """cds-resp-1: only one action can be suggested if selectionBehavior = at-most-one."""
    recommended = [one for one in card["suggestions"] if one.get("isRecommended")]
    assert card["selectionBehavior"] != "at-most-one" or len(recommended) <= 1


def test_cds_resp_2(card: dict[str, Any]) -> None:
    """cds-resp-2: a resourceId, not a resource, must be provided when type = delete."""
    actions = [action for one in card["suggestions"] for action in one["actions"]]
    assert actions
    assert all((action["type"] == "delete") == ("resourceId" in action) for action in actions)


def test_cds_resp_3(card: dict[str, Any]) -> None:
    """cds-resp-3: appContext only for smart apps."""
    (link,) = card["links"]
    assert (link["type"], link["url"]) == ("smart", "http://127.0.0.1:8000/launch")
    assert link["appContext"]
    assert all(one["type"] == "smart" or "appContext" not in one for one in card["links"])


def test_cds_resp_4(card: dict[str, Any]) -> None:
    """cds-resp-4: the service MUST populate a display value for each override reason."""
    assert card["overrideReasons"]
    assert all(one["display"] for one in card["overrideReasons"])


def test_cds_resp_5(card: dict[str, Any]) -> None:
    """cds-resp-5: all suggestion actions must have a description."""
    assert all(action["description"] for one in card["suggestions"] for action in one["actions"])


def test_cds_resp_6(card: dict[str, Any]) -> None:
    """cds-resp-6: if suggestions are present, selectionBehavior MUST also be provided."""
    assert card["suggestions"]
    assert card["selectionBehavior"] in ("at-most-one", "any")


def test_suggestion_fields(card: dict[str, Any]) -> None:
    """A suggestion has a `label`, and a `uuid` by which it is reported; an action has a `type`."""
    for one in card["suggestions"]:
        assert one["label"]
        assert one["uuid"]
        assert {action["type"] for action in one["actions"]} == {"create"}
        assert all(action["resource"]["resourceType"] for action in one["actions"])


# Feedback


def test_feedback(ehr: EHR, patient: str) -> None:
    """Feedback is posted to `{base}/cds-services/{id}/feedback` and answered with 200."""
    assert ehr.report({"feedback": [_report(ehr.card(patient))]}) == 200


def test_feedback_repeated(ehr: EHR, patient: str) -> None:
    """Feedback may come in batches and repeatedly: the answer is 200 each time."""
    report = _report(ehr.card(patient))
    assert [ehr.report({"feedback": [report, report]}) for _ in range(2)] == [200, 200]


def test_cds_fb_1(sandbox: EHR, card: dict[str, Any]) -> None:
    """cds-fb-1: outcome must be 'accepted' or 'overridden'."""
    assert sandbox.report({"feedback": [_report(card, outcome="ignored")]}) == 400


def test_cds_fb_2(sandbox: EHR, card: dict[str, Any]) -> None:
    """cds-fb-2: if outcome is 'accepted', acceptedSuggestions SHALL be provided."""
    assert sandbox.report({"feedback": [_report(card, outcome="accepted")]}) == 400
    taken = [{"id": card["suggestions"][0]["uuid"]}]
    report = _report(card, outcome="accepted", acceptedSuggestions=taken)
    assert sandbox.report({"feedback": [report]}) == 200


def test_cds_fb_3(sandbox: EHR, card: dict[str, Any]) -> None:
    """cds-fb-3: an overrideReason must contain a reason, a userComment, or both."""
    assert sandbox.report({"feedback": [_report(card, overrideReason={})]}) == 400
    commented = _report(card, overrideReason={"userComment": "Seen on Thursday."})
    assert sandbox.report({"feedback": [commented]}) == 200


@pytest.mark.parametrize("name", ["card", "outcome", "outcomeTimestamp"])
def test_required_of_feedback(sandbox: EHR, card: dict[str, Any], name: str) -> None:
    """Feedback without `card`, `outcome` or `outcomeTimestamp` is refused."""
    report = {key: value for key, value in _report(card).items() if key != name}
    assert sandbox.report({"feedback": [report]}) == 400


def _report(card: dict[str, Any], **changes: Any) -> dict[str, Any]:
    report = {
        "card": card["uuid"],
        "outcome": "overridden",
        "outcomeTimestamp": "2026-03-09T12:00:00Z",
    }
    return {**report, **changes}


# Security


def test_jwt_on_every_call(sandbox: EHR) -> None:
    """Every call carries a JWT, discovery included: without one, 401."""
    ask = sandbox.service.ask
    made = call_of(bundle_of("p"))
    assert ask("GET", "/cds-services").status_code == 401
    assert ask("POST", DISCHARGE, json=made).status_code == 401
    assert ask("POST", FEEDBACK, json={"feedback": []}).status_code == 401


def test_audience(sandbox: EHR) -> None:
    """`aud` is the URL that is called: a JWT for one URL is none for another."""
    made = call_of(bundle_of("p"))
    assert sandbox.call(made, token=sandbox.jwt("/cds-services")).status_code == 401
    assert sandbox.discover(sandbox.jwt(DISCHARGE)).status_code == 401
    listed = sandbox.jwt(
        "", aud=["https://elsewhere.example", "http://127.0.0.1:8000/cds-services"]
    )
    assert sandbox.discover(listed).status_code == 200


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "jti"])
def test_required_claims(ehr: EHR, claim: str) -> None:
    """A JWT without `iss`, `aud`, `exp` or `jti` is refused."""
    assert ehr.discover(ehr.jwt("/cds-services", **{claim: None})).status_code == 401


def test_expired(ehr: EHR) -> None:
    """A JWT that has expired is refused."""
    past = int(time.time()) - 600
    assert ehr.discover(ehr.jwt("/cds-services", exp=past)).status_code == 401


def test_replay(ehr: EHR) -> None:
    """A `jti` that was used before is refused."""
    token = ehr.jwt("/cds-services")
    assert [ehr.discover(token).status_code for _ in range(2)] == [200, 401]


def test_algorithms(sandbox: EHR) -> None:
    """ES384 and RS384 SHOULD be used; `none` and symmetric algorithms MUST NOT be accepted."""
    token = sandbox.jwt("/cds-services")
    _, payload, _ = token.split(".")
    assert sandbox.discover(f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.").status_code == 401
    other = new_key("ES256", kid=str(sandbox.provider.key.kid))
    forged = signed({"iss": sandbox.provider.issuer, "aud": "x", "exp": time.time() + 60}, other)
    assert sandbox.discover(forged).status_code == 401


def test_allow_lists(ehr: EHR) -> None:
    """`iss` and `jku` are on a list of the operator's: any other is refused."""
    path = "/cds-services"
    assert ehr.discover(ehr.jwt(path, iss="https://elsewhere.example")).status_code == 401
    elsewhere = {"jku": "https://elsewhere.example/jwks"}
    assert ehr.discover(ehr.jwt(path, header=elsewhere)).status_code == 401


def test_cors(sandbox: EHR) -> None:
    """A browser's preflight is told that it may send Authorization and Content-Type."""
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = sandbox.service.ask("OPTIONS", DISCHARGE, headers=asks)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type"} <= {one.strip() for one in allowed.split(",")}


# The page


def statements() -> list[tuple[str, str]]:
    """Every statement with the name of its test."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            said = ast.get_docstring(node)
            if said is not None:
                found.append((node.name, said))
    return found


def page() -> str:
    """The page of ``docs/conformance``: what is claimed, and the test that holds it."""
    rows = [f"| {said} | `{name}` |" for name, said in statements()]
    return "\n".join(
        [
            "# Conformance with CDS Hooks 2.0",
            "",
            "<!-- Made from tests/conformance/test_cds_hooks_statements.py; do not edit. -->",
            "",
            "Every line is a test that asks the running service, as the public sandbox does "
            "(ES384, no `sub`, `aud` the exact URL) or as Epic does (RS384, `nbf`, `sub`, an `aud` "
            "set by hand). Whether it holds, the test says.",
            "",
            "| statement | test |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def test_the_page_lists_every_statement() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
