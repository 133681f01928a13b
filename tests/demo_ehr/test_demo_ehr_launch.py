"""Who gets a token of the demo EHR: apps with PKCE done right, systems with their own key."""

import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from browsing import HTML
from joserfc import jwt
from joserfc.jwk import KeySet
from openid_provider import new_key, signed

from service.demo_ehr.codes import challenge_of
from service.demo_ehr.people import PEOPLE
from service.demo_ehr.plan import APP_CLIENT, BACKEND_CLIENT, PEOPLE_CLIENT
from service.demo_ehr.smart import ASSERTION_TYPE, Launch

VERIFIER = "fictitious-verifier-of-forty-three-characters-"


@pytest.fixture
def stay(demo: Any) -> Any:
    return demo.ehr.store.records.recent[0]


def request_of_the_app(demo: Any, stay: Any, **changed: Any) -> str:
    launch = demo.ehr.smart.launch(Launch(stay.patient, stay.encounter, "a context", False))
    asked = {
        "response_type": "code",
        "client_id": APP_CLIENT,
        "redirect_uri": f"{demo.plan.service}/launch/callback",
        "scope": "openid fhirUser launch patient/*.rs",
        "state": "a-state",
        "aud": demo.plan.fhir,
        "launch": launch,
        "nonce": "a-nonce",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        **changed,
    }
    kept = {name: value for name, value in asked.items() if value is not None}
    return f"{demo.plan.fhir}/auth/authorize?{urlencode(kept)}"


def code_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]


def exchange(demo: Any, code: str, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": APP_CLIENT,
        "code": code,
        "redirect_uri": f"{demo.plan.service}/launch/callback",
        "code_verifier": VERIFIER,
        **changed,
    }
    return httpx.post(demo.plan.token_endpoint, data=form)


def test_a_launch_gives_the_app_its_patient_and_stay(demo, stay):
    answer = exchange(demo, code_of(httpx.get(request_of_the_app(demo, stay))))
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert (given["patient"], given["encounter"]) == (stay.patient, stay.encounter)
    assert given["appContext"] == "a context"
    assert given["need_patient_banner"] is False
    keys = KeySet.import_key_set(httpx.get(f"{demo.plan.fhir}/auth/jwks").json())
    claims = jwt.decode(given["id_token"], keys, algorithms=["ES384"]).claims
    assert (claims["nonce"], claims["aud"], claims["iss"]) == (
        "a-nonce",
        APP_CLIENT,
        demo.plan.fhir,
    )
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    read = httpx.get(f"{demo.plan.fhir}/Patient/{stay.patient}", headers=headers)
    assert read.status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": None},
        {"code_challenge": "too-short"},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"aud": "https://elsewhere.example/fhir"},
        {"aud": None},
        {"launch": "never-given"},
        {"redirect_uri": "http://127.0.0.1:1/launch/callback"},
        {"client_id": "somebody-else"},
        {"state": None},
        {"scope": "launch patient/*.rs"},
        {"scope": "openid patient/*.rs"},
    ],
    ids=str,
)
def test_a_request_that_is_not_proper_is_sent_nowhere(demo, stay, changed):
    answer = httpx.get(request_of_the_app(demo, stay, **changed))
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "another-verifier-of-forty-three-characters-or-more"},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/"},
        {"client_id": "somebody-else"},
        {"code": "never-given"},
    ],
    ids=str,
)
def test_a_code_is_good_only_for_who_asked_for_it(demo, stay, changed):
    code = code_of(httpx.get(request_of_the_app(demo, stay)))
    answer = exchange(demo, **{"code": code, **changed})
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_grant", "invalid_client")


def test_a_code_is_used_once(demo, stay):
    code = code_of(httpx.get(request_of_the_app(demo, stay)))
    assert exchange(demo, code).status_code == 200
    assert exchange(demo, code).json()["error"] == "invalid_grant"


def assertion(demo: Any, key: Any = None, **changed: Any) -> dict[str, str]:
    now = int(time.time())
    claims = {
        "iss": BACKEND_CLIENT,
        "sub": BACKEND_CLIENT,
        "aud": demo.plan.token_endpoint,
        "iat": now,
        "exp": now + 240,
        "jti": secrets.token_hex(16),
        **changed,
    }
    if key is None:
        text = demo.service.state.serving.signing.sign(claims, "JWT")
    else:
        text = signed(claims, key, header={"typ": "JWT"})
    return {
        "grant_type": "client_credentials",
        "scope": "system/RiskAssessment.cu system/Flag.cu",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": text,
    }


def test_the_service_gets_a_token_with_its_own_key_once_an_assertion(demo):
    form = assertion(demo)
    answer = httpx.post(demo.plan.token_endpoint, data=form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == form["scope"]
    assert httpx.post(demo.plan.token_endpoint, data=form).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "changed",
    [{"iss": "somebody-else"}, {"aud": "https://elsewhere.example/token"}],
    ids=str,
)
def test_an_assertion_that_is_not_proper_opens_nothing(demo, changed):
    answer = httpx.post(demo.plan.token_endpoint, data=assertion(demo, **changed))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_key_that_the_service_does_not_publish_opens_nothing(demo):
    answer = httpx.post(demo.plan.token_endpoint, data=assertion(demo, new_key("ES384")))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_somebody_signs_in_as_whom_they_choose(demo):
    """The whole way: our sign-in, the page of people, the choice, the session."""
    with httpx.Client(headers=HTML) as browser:
        begun = browser.get(f"{demo.plan.service}/sign-in")
        assert begun.status_code == 303, begun.text
        choice = browser.get(begun.headers["location"])
        assert all(person.family in choice.text for person in PEOPLE)
        chosen = browser.post(
            begun.headers["location"],
            data={"person": "demo-care-manager"},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert chosen.status_code == 303, chosen.text
        back = browser.get(chosen.headers["location"])
        assert back.status_code == 303, back.text
        home = browser.get(f"{demo.plan.service}/")
    assert "Carl Mockfollow" in home.text
    assert "are manager" in home.text


def test_a_choice_that_another_site_sends_is_refused(demo):
    address = f"{demo.plan.people}/authorize?client_id={PEOPLE_CLIENT}"
    answer = httpx.post(
        address, data={"person": "demo-auditor"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403


def test_another_name_for_this_machine_is_not_answered(demo):
    answer = httpx.get(f"{demo.plan.ehr}/", headers={"Host": "rebound.example"})
    assert answer.status_code == 403
