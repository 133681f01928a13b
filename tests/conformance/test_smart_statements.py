"""SMART, as far as a system needs it: a test for each statement, its docstring the statement.

``docs/conformance/smart.md`` lists them with what they found. Sources: SMART App Launch 2.2,
"Conformance", "Scopes" and "Backend Services"; RFC 6749 and RFC 7523, which it builds on. The
statements of the launch are in ``test_smart_launch_statements.py``.
"""

import time
from typing import Any

import pytest
from calling_ehrs import EHR, OWN
from joserfc import jwt
from joserfc.jwk import KeySet
from openid_provider import new_key, signed
from trusting_service import bundle_of

CONFIGURATION = "/fhir/.well-known/smart-configuration"
SCORE = "/fhir/$readmission-risk"


def configuration(ehr: EHR) -> dict[str, Any]:
    answer = ehr.service.ask("GET", CONFIGURATION)
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def granted(ehr: EHR, scope: str) -> Any:
    """The scopes of a token that was given; the error where none was."""
    answer = ehr.token(scope)
    return answer.json().get("scope") if answer.status_code == 200 else answer.json()["error"]


def refused(answer: Any) -> str:
    assert answer.status_code in (400, 401)
    error: str = answer.json()["error"]
    return error


# Conformance


def test_configuration(ehr: EHR) -> None:
    """`[base]/.well-known/smart-configuration` is JSON, and there for whoever asks.

    Section: Conformance, Using .well-known
    """
    answer = ehr.service.ask("GET", CONFIGURATION, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


def test_required_metadata(ehr: EHR) -> None:
    """`token_endpoint`, `grant_types_supported`, `capabilities` and
    `code_challenge_methods_supported` are REQUIRED; the last SHALL hold S256 and SHALL NOT hold
    plain.

    Section: Conformance, Metadata
    """
    described = configuration(ehr)
    assert described["token_endpoint"] == f"{OWN}/oauth/token"
    assert "client_credentials" in described["grant_types_supported"]
    assert described["capabilities"]
    assert "S256" in described["code_challenge_methods_supported"]
    assert "plain" not in described["code_challenge_methods_supported"]


def test_recommended_metadata(ehr: EHR) -> None:
    """`scopes_supported` is RECOMMENDED: each that it names can be asked for by a system.

    Section: Conformance, Metadata
    """
    scopes = configuration(ehr)["scopes_supported"]
    assert scopes
    assert all(scope.startswith("system/") for scope in scopes)


def test_keys(ehr: EHR) -> None:
    """`jwks_uri` leads to the keys that the tokens are signed with.

    Section: Conformance, Metadata
    """
    described = configuration(ehr)
    path = described["jwks_uri"].removeprefix(OWN)
    keys = KeySet.import_key_set(ehr.service.ask("GET", path).json())
    token = jwt.decode(ehr.token().json()["access_token"], keys, algorithms=["ES384"])
    assert token.claims["iss"] == described["issuer"]


def test_capabilities(ehr: EHR) -> None:
    """`capabilities` names what there is: clients with asymmetric keys, scopes of versions 1 and 2.

    Section: Conformance, Capability Sets
    """
    described = configuration(ehr)
    named = {"client-confidential-asymmetric", "permission-v1", "permission-v2"}
    assert named <= set(described["capabilities"])
    assert described["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    algorithms = described["token_endpoint_auth_signing_alg_values_supported"]
    assert {"RS384", "ES384"} <= set(algorithms)


# Backend services


def test_token(ehr: EHR) -> None:
    """A system with an assertion of its own gets an access token: `access_token`, `token_type`
    `bearer`, `expires_in` and `scope` are REQUIRED.

    Section: Backend Services, Issue Access Token
    """
    answer = ehr.token()
    assert answer.status_code == 200
    issued = answer.json()
    assert issued["access_token"]
    assert (issued["token_type"], issued["scope"]) == ("bearer", "system/RiskAssessment.rs")


def test_short_lived(ehr: EHR) -> None:
    """`expires_in` SHOULD NOT exceed 300 seconds.

    Section: Backend Services, Issue Access Token
    """
    assert 0 < ehr.token().json()["expires_in"] <= 300


def test_no_refresh_token(ehr: EHR) -> None:
    """A refresh token SHOULD NOT be included.

    Section: RFC 6749, 4.4.3 Client Credentials, Access Token Response
    """
    assert "refresh_token" not in ehr.token().json()


def test_not_stored(ehr: EHR) -> None:
    """An answer with a token MUST say `Cache-Control: no-store`.

    Section: RFC 6749, 5.1 Successful Response
    """
    assert ehr.token().headers["cache-control"] == "no-store"


def test_access(ehr: EHR) -> None:
    """The token is presented as Bearer, and opens what its scope grants, and nothing else.

    Section: Backend Services, Access FHIR API
    """
    token = ehr.token("system/RiskAssessment.rs").json()["access_token"]
    ask = ehr.service.ask
    assert ask("GET", "/fhir/RiskAssessment?patient=p", token).status_code == 200
    assert ask("POST", SCORE, token, json=bundle_of("p")).status_code == 403
    assert ask("GET", "/metrics", token).status_code == 403


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "jti"])
def test_required_claims(ehr: EHR, claim: str) -> None:
    """`iss`, `sub`, `aud`, `exp` and `jti` are REQUIRED in an assertion.

    Section: Client Confidential Asymmetric, Authentication Token Claims
    """
    answer = ehr.token(client_assertion=ehr.assertion(**{claim: None}))
    assert refused(answer) == "invalid_client"


@pytest.mark.parametrize("kid", ["another", None])
def test_key_id(ehr: EHR, kid: str | None) -> None:
    """`kid` identifies the key that signed the assertion: with another, or none, it is refused.

    Section: Client Confidential Asymmetric, Authentication Token Header
    """
    answer = ehr.token(client_assertion=ehr.assertion(header={"kid": kid}))
    assert refused(answer) == "invalid_client"


def test_type(ehr: EHR) -> None:
    """`typ` is `JWT`: a token of another kind is no assertion.

    Section: Client Confidential Asymmetric, Authentication Token Header
    """
    answer = ehr.token(client_assertion=ehr.assertion(header={"typ": "at+jwt"}))
    assert refused(answer) == "invalid_client"


def test_key_address(ehr: EHR) -> None:
    """`jku` SHALL match what the client registered: any other is refused, and without it the
    registered keys are used.

    Section: Client Confidential Asymmetric, Signature Verification
    """
    elsewhere = ehr.assertion(header={"jku": "https://elsewhere.example/jwks"})
    assert refused(ehr.token(client_assertion=elsewhere)) == "invalid_client"
    without = ehr.assertion(header={"jku": None})
    assert ehr.token(client_assertion=without).status_code == 200


def test_issuer_is_subject(ehr: EHR) -> None:
    """`iss` and `sub` are both the client's id.

    Section: Client Confidential Asymmetric, Authentication Token Claims
    """
    for claim in ("iss", "sub"):
        answer = ehr.token(client_assertion=ehr.assertion(**{claim: "another"}))
        assert refused(answer) == "invalid_client"


def test_audience(ehr: EHR) -> None:
    """`aud` is the URL of the token endpoint.

    Section: Client Confidential Asymmetric, Authentication Token Claims
    """
    answer = ehr.token(client_assertion=ehr.assertion(aud=f"{OWN}/fhir"))
    assert refused(answer) == "invalid_client"


def test_expiry(ehr: EHR) -> None:
    """`exp` SHALL be no more than five minutes in the future, and not past.

    Section: Client Confidential Asymmetric, Authentication Token Claims
    """
    for seconds in (-600, 600):
        answer = ehr.token(client_assertion=ehr.assertion(exp=int(time.time()) + seconds))
        assert refused(answer) == "invalid_client"


def test_replay(ehr: EHR) -> None:
    """A `jti` SHALL NOT have been used before, within the time that its assertion is valid.

    Section: Client Confidential Asymmetric, Signature Verification
    """
    proof = ehr.assertion()
    assert ehr.token(client_assertion=proof).status_code == 200
    assert refused(ehr.token(client_assertion=proof)) == "invalid_client"


def test_signature(ehr: EHR) -> None:
    """The signature SHALL hold with a key that the client registered.

    Section: Client Confidential Asymmetric, Signature Verification
    """
    alg = str(ehr.provider.key.alg)
    other = new_key(alg, kid=str(ehr.provider.key.kid))
    now = int(time.time())
    client = ehr.client_id
    claims = {
        "iss": client,
        "sub": client,
        "aud": f"{OWN}/oauth/token",
        "exp": now + 60,
        "jti": "1",
    }
    proof = signed(claims, other, header={"typ": "JWT"})
    assert refused(ehr.token(client_assertion=proof)) == "invalid_client"


def test_algorithms(ehr: EHR) -> None:
    """RS384 and ES384 SHALL be supported.

    Section: Client Confidential Asymmetric, Registering a client
    """
    assert ehr.provider.key.alg in ("RS384", "ES384")
    assert ehr.token().status_code == 200


def test_grant_type(ehr: EHR) -> None:
    """`grant_type` is `client_credentials`: another is an `unsupported_grant_type`, none an
    `invalid_request`.

    Section: RFC 6749, 5.2 Error Response
    """
    assert refused(ehr.token(grant_type="password")) == "unsupported_grant_type"
    assert refused(ehr.token(grant_type=None)) == "invalid_request"


def test_assertion_type(ehr: EHR) -> None:
    """`client_assertion_type` is that of RFC 7523.

    Section: Backend Services, Obtain Access Token
    """
    assert refused(ehr.token(client_assertion_type="saml")) == "invalid_client"


def test_repeated_parameter(ehr: EHR) -> None:
    """Parameters MUST NOT come more than once.

    Section: RFC 6749, 3.2 Token Endpoint
    """
    form = "grant_type=client_credentials&grant_type=client_credentials"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ehr.service.ask("POST", "/oauth/token", content=form, headers=headers)
    assert refused(answer) == "invalid_request"


# Scopes


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("system/RiskAssessment.rs", "system/RiskAssessment.rs"),
        ("system/RiskAssessment.cruds", "system/RiskAssessment.crs"),
        ("system/*.rs", "system/RiskAssessment.rs"),
        ("system/RiskAssessment.c system/Patient.rs", "system/RiskAssessment.c"),
    ],
)
def test_version_2(ehr: EHR, asked: str, given: str) -> None:
    """Scopes of version 2 are `context/Type.cruds`: of what was asked, what is allowed is granted,
    and `scope` says so.

    Section: Scopes for requesting FHIR Resources
    """
    assert granted(ehr, asked) == given


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("system/RiskAssessment.read", "system/RiskAssessment.rs"),
        ("system/RiskAssessment.write", "system/RiskAssessment.c"),
        ("system/RiskAssessment.*", "system/RiskAssessment.crs"),
    ],
)
def test_version_1(ehr: EHR, asked: str, given: str) -> None:
    """Scopes of version 1 are those of version 2: `.read` is `.rs`, `.write` is `.cud`, `.*` is
    `.cruds`.

    Section: Scopes, Scopes for requesting FHIR Resources (version 1)
    """
    assert granted(ehr, asked) == given


@pytest.mark.parametrize(
    "asked",
    [
        "system/RiskAssessment.sr",
        "system/RiskAssessment.",
        "system/RiskAssessment.rs?patient=p",
        "patient/RiskAssessment.rs",
        "user/RiskAssessment.rs",
        "system/Patient.rs",
        "openid fhirUser",
        "",
    ],
)
def test_no_scope(ehr: EHR, asked: str) -> None:
    """A scope out of order, one that cannot be narrowed as it says, of a person, or that is not
    allowed, is not granted: without any, the answer is `invalid_scope`.

    Section: Scopes for requesting FHIR Resources; RFC 6749, 5.2 Error Response
    """
    assert granted(ehr, asked) == "invalid_scope"
