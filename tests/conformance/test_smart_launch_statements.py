"""SMART App Launch 2.2, EHR launch: a test for each statement, its docstring the statement.

``docs/conformance/smart.md`` lists them with what they found, beside those of systems. Sources:
SMART App Launch 2.2, "EHR Launch" and "Scopes and Launch Context"; RFC 7636 (PKCE), RFC 9207
(``iss`` in the answer), OpenID Connect Core 1.0.
"""

import hashlib
import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from browsing import Browser, browsing
from calling_ehrs import SHAPES
from joserfc import jwt
from joserfc.jwk import KeySet
from launching_ehr import (
    APP,
    LaunchingEHR,
    asked_of_the_ehr,
    at_the_ehr,
    launched,
    launching_ehr,
    settings_launched_by,
)
from openid_provider import new_key
from trusting_service import ModelOfOneMind, bundle_of

CLIENTS = {"sandbox": "", "epic": 'client_authentication = "private_key_jwt"'}
"""How the app is registered with each: as a public client, and as one with a key of its own."""

REDIRECT = "http://127.0.0.1/launch/callback"
WELL_KNOWN = "/fhir/.well-known/smart-configuration"

Running = tuple[LaunchingEHR, Browser]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    made: dict[str, Running] = {}
    with ExitStack() as stack:
        for name, registered in CLIENTS.items():
            ehr = stack.enter_context(launching_ehr(SHAPES[name][0]))
            settings = settings_launched_by(
                tmp_path_factory.mktemp(name), ehr, registered, launch_deadline_seconds=30
            )
            made[name] = ehr, stack.enter_context(browsing(settings, model=ModelOfOneMind()))
        yield made


@pytest.fixture(params=list(SHAPES))
def ehr(request: pytest.FixtureRequest, running: dict[str, Running], patient: str) -> LaunchingEHR:
    """Each of the two as it was made, with the chart of this test's patient."""
    found, browser = running[request.param]
    found.begin_anew(patient, bundle_of(patient))
    browser.here.breaker.answered(found.base.partition("//")[2].partition("/")[0])
    browser.here.smart_configurations._held.clear()
    return found


@pytest.fixture
def browser(ehr: LaunchingEHR, running: dict[str, Running]) -> Browser:
    """One that nobody has used yet."""
    (browser,) = [browser for one, browser in running.values() if one is ehr]
    return browser.another()


def begun(ehr: LaunchingEHR, browser: Browser) -> httpx.Response:
    asked = urlencode({"iss": ehr.base, "launch": ehr.open_chart()})
    return browser.get(f"/launch?{asked}")


def opens_nothing(answer: httpx.Response, browser: Browser) -> bool:
    return answer.status_code >= 400 and browser.cookie("readmit-launched") is None


def page(ehr: LaunchingEHR, browser: Browser) -> str:
    """The page that a launch ends at."""
    answer = launched(browser, ehr)
    assert answer.status_code == 303, answer.text
    shown = browser.get(answer.headers["location"])
    assert shown.status_code == 200
    return shown.text


# Launch


def test_launch_parameters(ehr: LaunchingEHR, browser: Browser) -> None:
    """The EHR opens the app's launch URL with `iss` and `launch`; without either, nothing begins.

    Section: EHR Launch, Launch App
    """
    assert begun(ehr, browser).status_code == 303
    for lacking in ({"iss": ehr.base}, {"launch": ehr.open_chart()}):
        assert browser.get(f"/launch?{urlencode(lacking)}").status_code == 400


def test_registered_servers_alone(ehr: LaunchingEHR, browser: Browser) -> None:
    """`iss` is one of the EHRs that the app is registered with: any other is not asked anything.

    Section: EHR Launch, Launch App
    """
    before = sum(ehr.requests.values())
    for iss in (f"{ehr.issuer}/other", "https://elsewhere.example/fhir"):
        answer = browser.get(f"/launch?{urlencode({'iss': iss, 'launch': 'x'})}")
        assert answer.status_code == 400
    assert sum(ehr.requests.values()) == before


def test_configuration_is_fetched(ehr: LaunchingEHR, browser: Browser) -> None:
    """The endpoints are those of `{iss}/.well-known/smart-configuration`, which is fetched.

    Section: EHR Launch, Retrieve .well-known/smart-configuration
    """
    named = f"{ehr.issuer}/authorize-elsewhere"
    ehr.altered_configuration = {"authorization_endpoint": named}
    before = ehr.requests[WELL_KNOWN]
    place = begun(ehr, browser).headers["location"]
    assert ehr.requests[WELL_KNOWN] == before + 1
    assert place.partition("?")[0] == named


# Authorization


def test_authorization_parameters(ehr: LaunchingEHR, browser: Browser) -> None:
    """`response_type` (`code`), `client_id`, `redirect_uri`, `launch`, `scope`, `state`, `aud`,
    `code_challenge` and `code_challenge_method` are REQUIRED.

    Section: EHR Launch, Obtain authorization code
    """
    asked = asked_of_the_ehr(browser, ehr)
    required = "response_type client_id redirect_uri launch scope state aud"
    assert {*required.split(), "code_challenge", "code_challenge_method"} <= set(asked)
    assert (asked["response_type"], asked["client_id"]) == ("code", APP)


def test_launch_is_passed_on(ehr: LaunchingEHR, browser: Browser) -> None:
    """`launch` is the value that the EHR gave, and the scope `launch` asks for its context.

    Section: EHR Launch, Obtain authorization code
    """
    given = ehr.open_chart()
    place = browser.get(f"/launch?{urlencode({'iss': ehr.base, 'launch': given})}")
    asked = parse_qs(urlsplit(place.headers["location"]).query)
    assert asked["launch"] == [given]
    assert "launch" in asked["scope"][0].split()


def test_pkce(ehr: LaunchingEHR, browser: Browser) -> None:
    """PKCE SHALL be used, with `S256`: the challenge is the SHA-256 of a verifier of 43 to 128
    characters, which comes with the code, another each time.

    Section: Considerations for PKCE Support; RFC 7636, 4
    """
    back = at_the_ehr(browser, ehr)
    (asked,) = [one for one in ehr.codes.values() if one["state"] in back]
    assert asked["code_challenge_method"] == "S256"
    browser.get(back)
    verifier = ehr.forms[-1]["code_verifier"]
    assert re.fullmatch(r"[A-Za-z0-9\-._~]{43,128}", verifier)
    digest = hashlib.sha256(verifier.encode()).digest()
    assert urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
    assert asked_of_the_ehr(browser, ehr)["code_challenge"] != asked["code_challenge"]


def test_no_plain_challenge(ehr: LaunchingEHR, browser: Browser) -> None:
    """An EHR that does not support `S256` is not gone to.

    Section: Considerations for PKCE Support
    """
    for supported in (["plain"], None):
        ehr.altered_configuration = {"code_challenge_methods_supported": supported}
        browser.here.smart_configurations._held.clear()
        assert opens_nothing(begun(ehr, browser), browser)


def test_state_cannot_be_guessed(ehr: LaunchingEHR, browser: Browser) -> None:
    """`state` SHALL be unpredictable, with at least 122 bits of entropy.

    Section: EHR Launch, Obtain authorization code
    """
    states = [asked_of_the_ehr(browser, ehr)["state"] for _ in range(16)]
    # What varies at each place, seen in sixteen of them: a lower bound of what it holds.
    places = zip(*states, strict=True)
    assert sum(math.log2(len(set(letters))) for letters in places) >= 122


def test_state_is_validated(ehr: LaunchingEHR, browser: Browser) -> None:
    """`state` SHALL be validated upon return, and belongs to the browser that began.

    Section: EHR Launch, Obtain authorization code
    """
    back = at_the_ehr(browser, ehr)
    other = browser.another()
    for answer in (
        browser.get(re.sub(r"state=[^&]+", "state=of-nobody", back)),
        browser.get(re.sub(r"&?state=[^&]+", "", back)),
        other.get(back),
    ):
        assert answer.status_code == 400
    assert browser.cookie("readmit-launched") is None


def test_audience(ehr: LaunchingEHR, browser: Browser) -> None:
    """`aud` is the URL of the FHIR server that launched: `iss`.

    Section: EHR Launch, Obtain authorization code
    """
    assert asked_of_the_ehr(browser, ehr)["aud"] == ehr.base


def test_redirect_uri(ehr: LaunchingEHR, browser: Browser) -> None:
    """`redirect_uri` is the one that is registered, and the same when the code is exchanged.

    Section: EHR Launch, Obtain authorization code; RFC 6749, 4.1.3
    """
    assert asked_of_the_ehr(browser, ehr)["redirect_uri"] == REDIRECT
    launched(browser, ehr)
    assert ehr.forms[-1]["redirect_uri"] == REDIRECT


def test_issuer_of_the_answer(ehr: LaunchingEHR, browser: Browser) -> None:
    """An answer with the `iss` of another authorization server is refused.

    Section: RFC 9207, 2.4
    """
    back = at_the_ehr(browser, ehr)
    other = urlencode({"iss": "https://other.example"})
    assert opens_nothing(browser.get(re.sub(r"iss=[^&]+", other, back)), browser)


def test_refused_authorization(ehr: LaunchingEHR, browser: Browser) -> None:
    """An answer with `error` opens nothing.

    Section: RFC 6749, 4.1.2.1
    """
    back = at_the_ehr(browser, ehr)
    answer = browser.get(re.sub(r"code=[^&]+", "error=access_denied", back))
    assert opens_nothing(answer, browser)
    assert ehr.forms == []


# Token


def test_code_exchange(ehr: LaunchingEHR, browser: Browser) -> None:
    """The code is exchanged at the token endpoint by a form with `grant_type`, `code`,
    `redirect_uri` and `code_verifier`.

    Section: EHR Launch, Obtain access token
    """
    assert launched(browser, ehr).status_code == 303
    (form,) = ehr.forms
    assert {"code", "redirect_uri", "code_verifier"} <= set(form)
    assert form["grant_type"] == "authorization_code"


def test_public_client(ehr: LaunchingEHR, browser: Browser) -> None:
    """A public client names itself by `client_id`, and sends no secret.

    Section: EHR Launch, Obtain access token
    """
    launched(browser, ehr)
    (form,) = ehr.forms
    if "client_assertion" in form:
        pytest.skip("the app is registered with a key of its own")
    assert form["client_id"] == APP
    assert set(form) == {"grant_type", "client_id", "code", "redirect_uri", "code_verifier"}


def test_confidential_client(ehr: LaunchingEHR, browser: Browser) -> None:
    """A client with a key signs an assertion: `iss` and `sub` its id, `aud` the token endpoint,
    `exp` within five minutes, `jti` another each time, verified by the keys that it publishes.

    Section: Client Confidential Asymmetric, Authentication Token Claims
    """
    for _ in range(2):
        launched(browser, ehr)
    if "client_assertion" not in ehr.forms[0]:
        pytest.skip("the app is registered as a public client")
    keys = KeySet.import_key_set(browser.get("/oauth/jwks").json())
    proofs = [
        jwt.decode(form["client_assertion"], keys, algorithms=["ES384"]).claims
        for form in ehr.forms
    ]
    for claims in proofs:
        assert (claims["iss"], claims["sub"]) == (APP, APP)
        assert claims["aud"] == f"{ehr.issuer}/token"
        assert 0 < claims["exp"] - claims["iat"] <= 300
    assert proofs[0]["jti"] != proofs[1]["jti"]


def test_code_is_used_once(ehr: LaunchingEHR, browser: Browser) -> None:
    """A code is exchanged once: brought again, it is not sent again.

    Section: RFC 6749, 4.1.2
    """
    back = at_the_ehr(browser, ehr)
    assert [browser.get(back).status_code for _ in range(2)] == [303, 400]
    assert len(ehr.forms) == 1


@pytest.mark.parametrize(
    "altered", [{"access_token": None}, {"token_type": None}, {"token_type": "mac"}]
)
def test_token_answer(ehr: LaunchingEHR, browser: Browser, altered: dict[str, Any]) -> None:
    """`access_token` and `token_type` (`Bearer`) are REQUIRED in the answer: without, nothing
    opens.

    Section: EHR Launch, Obtain access token
    """
    ehr.altered_answer = altered
    assert opens_nothing(launched(browser, ehr), browser)


@pytest.mark.parametrize(
    "altered",
    [
        {"iss": "https://other.example"},
        {"aud": "another-app"},
        {"exp": 1_000_000_000},
        {"nonce": "another"},
        {"sub": None},
    ],
)
def test_id_token(ehr: LaunchingEHR, browser: Browser, altered: dict[str, Any]) -> None:
    """The id token is validated: `iss`, `aud`, `exp`, `nonce` and `sub`.

    Section: Scopes for requesting identity data; OpenID Connect Core 1.0, 3.1.3.7
    """
    ehr.altered_id_token = altered
    assert opens_nothing(launched(browser, ehr), browser)


def test_id_token_signature(
    ehr: LaunchingEHR, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id token's signature is validated by the keys that the EHR publishes.

    Section: Scopes for requesting identity data
    """
    published = ehr.published()
    monkeypatch.setattr(ehr, "published", lambda: published)
    # One with the id of a published key, and not that key.
    monkeypatch.setattr(ehr, "keys", [new_key(str(ehr.key.alg), str(ehr.key.kid))])
    assert opens_nothing(launched(browser, ehr), browser)


# Context


def test_patient_context(ehr: LaunchingEHR, browser: Browser, patient: str) -> None:
    """`patient` in the answer says whose chart is open: the page is about that patient.

    Section: Scopes and Launch Context, Launch context arrives with your access_token
    """
    assert patient in page(ehr, browser)


def test_no_patient(ehr: LaunchingEHR, browser: Browser) -> None:
    """An answer without `patient`, or with one that is no id, opens nothing and reads nothing.

    Section: Scopes and Launch Context, Launch context arrives with your access_token
    """
    for patient in (None, "", "a b", 7):
        ehr.altered_answer = {"patient": patient}
        assert opens_nothing(launched(browser, ehr), browser)
    assert ehr.asked == []


def test_records_of_another_patient(ehr: LaunchingEHR, browser: Browser) -> None:
    """Where the token gives the records of another patient than it names, nothing opens.

    Section: Scopes and Launch Context, Launch context arrives with your access_token
    """
    ehr.bundle = bundle_of("example-somebody-else")
    assert opens_nothing(launched(browser, ehr), browser)


def test_one_patient_alone(ehr: LaunchingEHR, browser: Browser, patient: str) -> None:
    """The session of a launch is for the patient of its chart: another's risk is not shown to it.

    Section: Scopes and Launch Context, Launch context arrives with your access_token
    """
    other = launched(browser, ehr).headers["location"]
    ehr.begin_anew(f"{patient}-2", bundle_of(f"{patient}-2"))
    own = launched(browser, ehr).headers["location"]
    assert [browser.get(one).status_code for one in (own, other)] == [200, 404]


def test_encounter_context(ehr: LaunchingEHR, browser: Browser) -> None:
    """`encounter` says which stay is open: the page is about that one.

    Section: Scopes and Launch Context, Launch context arrives with your access_token
    """
    for encounter in ("example-earlier-stay", "example-stay"):
        ehr.altered_answer = {"encounter": encounter}
        assert f"<bdi>{encounter}</bdi>" in page(ehr, browser)


def test_patient_banner(ehr: LaunchingEHR, browser: Browser, patient: str) -> None:
    """`need_patient_banner` is honoured: with true the page has a banner that says whose it is,
    with false it has none; without it, it has one.

    Section: Scopes and Launch Context, Launch context arrives with your access_token
    """
    for needed, there in ((True, True), (False, False), (None, True)):
        ehr.altered_answer = {"need_patient_banner": needed}
        banner = re.search(r'class="patient-banner">.*?<bdi>(.*?)</bdi>', page(ehr, browser))
        assert (None if banner is None else banner[1]) == (patient if there else None)


def test_scopes(ehr: LaunchingEHR, browser: Browser) -> None:
    """Scopes are no wider than what is read: those of this patient, to read and search, of each
    type that is then asked for and of no other; none for when nobody is there.

    Section: Scopes and Launch Context, Scopes for requesting FHIR Resources
    """
    scopes = asked_of_the_ehr(browser, ehr)["scope"].split()
    launched(browser, ehr)
    read = {path.removeprefix("/fhir/").partition("/")[0] for path in ehr.asked}
    # Read where a prescription names its drug by reference; this patient's are coded.
    read.add("Medication")
    wanted = {"launch", "openid", "fhirUser", *(f"patient/{kind}.rs" for kind in read)}
    assert set(scopes) == wanted
    assert len(scopes) == len(wanted)


def test_access_token(ehr: LaunchingEHR, browser: Browser) -> None:
    """The access token is a Bearer token of the FHIR server that launched, and is shown nowhere
    else and kept nowhere.

    Section: EHR Launch, Access FHIR API
    """
    shown = page(ehr, browser)
    assert ehr.asked  # it answers with its own token alone
    (token,) = ehr.given
    assert token not in shown
    settings = browser.here.settings
    assert settings.issuers is not None
    files = [one for one in settings.issuers.parent.rglob("*") if one.is_file()]
    assert files
    assert not any(token.encode() in one.read_bytes() for one in files)
