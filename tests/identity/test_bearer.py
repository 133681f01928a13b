"""A token identifies somebody only if a listed issuer made it, for this service, and for now."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors import OWN_URL, Door, door, issuer_table
from joserfc.jwk import RSAKey
from openid_provider import CLIENT_ID, OpenIDProvider, new_key, openid_provider

from service.identity.errors import UnauthenticatedError
from service.identity.roles import Role
from service.identity.signed_tokens import LARGEST_TOKEN

PHYSICIAN = {"sub": "example-clinician", "roles": ["ward-physician", "staff"]}


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as running:
        running.person = dict(PHYSICIAN)
        yield running


@pytest.fixture
def here(provider: OpenIDProvider, tmp_path: Path) -> Iterator[Door]:
    with door(tmp_path, issuer_table(provider, f'client_id = "{CLIENT_ID}"')) as opened:
        yield opened


def refused(here: Door, token: str) -> None:
    """The same bare refusal, whatever is wrong."""
    with pytest.raises(UnauthenticatedError) as caught:
        here.caller(token)
    assert str(caught.value) == str(UnauthenticatedError())


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return found


def test_a_physician_is_known_by_the_issuers_word_and_the_operators_mapping(
    here: Door, provider: OpenIDProvider
) -> None:
    token = provider.token(
        name="Example Clinician", units=["Ward 3", "Ward 4"], azp="ward-app", patient="Patient/p1"
    )
    caller = here.caller(token)
    assert (caller.way, caller.issuer) == ("bearer", provider.issuer)
    assert (caller.subject, caller.client) == ("example-clinician", "ward-app")
    assert caller.roles == {Role.CLINICIAN}
    assert caller.scopes is None
    assert caller.units == {"Ward 3", "Ward 4"}
    assert caller.patient == "p1"
    assert caller.may("RiskAssessment", "c")


def test_a_role_may_lie_deep_in_the_claims(here: Door, provider: OpenIDProvider) -> None:
    token = provider.token(roles=None, realm_access={"roles": ["care-coordination"]})
    assert here.caller(token).roles == {Role.CARE_MANAGER}


def test_scopes_narrow_a_role_and_never_widen_it(here: Door, provider: OpenIDProvider) -> None:
    narrow = here.caller(provider.token(scope="openid user/RiskAssessment.rs system/*.cruds"))
    assert narrow.may("RiskAssessment", "r")
    assert not narrow.may("RiskAssessment", "c")
    assert not narrow.may("AuditEvent", "r")
    version_1 = here.caller(provider.token(scp=["user/RiskAssessment.read"]))
    assert version_1.may("RiskAssessment", "s")
    assert not version_1.may("RiskAssessment", "c")


def test_a_scope_that_cannot_be_granted_leaves_nothing_rather_than_all(
    here: Door, provider: OpenIDProvider
) -> None:
    caller = here.caller(provider.token(scope="user/RiskAssessment.rs?status=final"))
    assert caller.scopes == ()
    assert not caller.may("RiskAssessment", "r")


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": None},
        {"roles": []},
        {"roles": ["porter"]},
        {"roles": {"ward-physician": True}},
        {"roles": [["ward-physician"]]},
        {"roles": None, "scope": "openid profile"},
        {"roles": None, "scope": "user/RiskAssessment.rs"},
        {"roles": None, "scope": "system/RiskAssessment.rs"},
        {"sub": None},
        {"sub": ""},
    ],
)
def test_a_person_without_a_role_here_is_refused(
    here: Door, provider: OpenIDProvider, claims: dict[str, Any]
) -> None:
    refused(here, provider.token(**claims))


def test_what_is_signed_by_others_is_refused(here: Door, provider: OpenIDProvider) -> None:
    stranger = new_key("ES256", kid=str(provider.key.kid))
    refused(here, provider.token(stranger))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_that_was_changed_is_refused(
    here: Door, provider: OpenIDProvider, part: int
) -> None:
    token = provider.token()
    here.caller(token)
    parts = token.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    refused(here, ".".join(parts))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(here: Door, provider: OpenIDProvider, algorithm: str) -> None:
    claims = claims_of(provider.token())
    refused(here, unsigned({"alg": algorithm, "kid": provider.key.kid}, claims))
    refused(here, unsigned({"alg": algorithm, "kid": provider.key.kid}, claims, b"signature"))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "jwk", "der"])
def test_the_public_key_is_no_shared_secret(
    tmp_path: Path, provider: OpenIDProvider, algorithm: str, form: str
) -> None:
    """The confusion of algorithms (RFC 8725, section 2.1): HMAC with what everybody can read."""
    key = provider.rotate("RS256")
    assert isinstance(key, RSAKey)
    secret = {
        "pem": key.as_pem(private=False),
        "der": key.as_der(private=False),
        "jwk": json.dumps(key.as_dict(private=False)).encode(),
    }[form]
    with door(tmp_path, issuer_table(provider)) as here:
        here.caller(provider.token())
        token = unsigned({"alg": algorithm, "kid": key.kid}, claims_of(provider.token()))
        signing_input = token.rpartition(".")[0].encode()
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
        mac = hmac.new(secret, signing_input, digest[algorithm]).digest()
        signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        refused(here, f"{signing_input.decode()}.{signature}")


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_an_algorithm_that_the_operator_did_not_list_is_refused_before_any_key_is_fetched(
    here: Door, provider: OpenIDProvider, algorithm: str
) -> None:
    key = provider.rotate(algorithm)
    refused(here, provider.token(key))
    assert provider.requests["/jwks"] == 0


def test_a_key_is_used_for_its_own_algorithm_alone(here: Door, provider: OpenIDProvider) -> None:
    key = provider.rotate("RS256")
    here.caller(provider.token(key))
    refused(here, _renamed(provider))


def _renamed(provider: OpenIDProvider) -> str:
    """A token whose header names the other algorithm that is allowed."""
    header, payload, signature = provider.token().split(".")
    changed = {"alg": "ES256", "kid": provider.key.kid, "typ": "at+jwt"}
    head = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    assert head != header
    return f"{head}.{payload}.{signature}"


@pytest.mark.parametrize("published", ["enc", "ES384"])
def test_a_key_that_is_published_for_something_else_verifies_nothing(
    here: Door, provider: OpenIDProvider, published: str
) -> None:
    key = provider.key
    described = key.as_dict(private=False)
    described |= {"use": "enc"} if published == "enc" else {"alg": published}
    provider.published = lambda: {"keys": [described]}  # type: ignore[method-assign]  # the test's own
    refused(here, provider.token())


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "http://127.0.0.1:1"),
        ("iss", "https://elsewhere.example"),
        ("iss", OWN_URL),
        ("iss", None),
        ("iss", ["http://127.0.0.1"]),
        ("aud", "another-service"),
        ("aud", CLIENT_ID),
        ("aud", None),
        ("aud", []),
        ("aud", "readmit-"),
        ("exp", None),
        ("exp", "2999-01-01"),
        ("exp", True),
        ("exp", 1e18),
        ("nbf", "now"),
        ("cnf", {"jkt": "thumbprint"}),
    ],
)
def test_a_claim_that_is_not_as_it_must_be_is_refused(
    here: Door, provider: OpenIDProvider, claim: str, value: Any
) -> None:
    refused(here, provider.token(**{claim: value}))


def test_one_of_several_audiences_is_enough(here: Door, provider: OpenIDProvider) -> None:
    assert here.caller(provider.token(aud=["another-service", "readmit"]))


@pytest.mark.parametrize(
    ("claim", "direction"), [("exp", -1), ("nbf", 1), ("iat", 1)], ids=["exp", "nbf", "iat"]
)
def test_clocks_may_differ_by_a_minute_and_not_more(
    here: Door, provider: OpenIDProvider, claim: str, direction: int
) -> None:
    assert here.caller(provider.token(**{claim: here.now + 59 * direction}))
    refused(here, provider.token(**{claim: here.now + 61 * direction}))


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE"])
def test_a_token_of_another_kind_is_refused(
    here: Door, provider: OpenIDProvider, kind: str
) -> None:
    refused(here, provider.token(header={"typ": kind}))


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+JWT", None])
def test_the_kinds_that_issuers_write_are_accepted(
    here: Door, provider: OpenIDProvider, kind: str | None
) -> None:
    assert here.caller(provider.token(header={"typ": kind}))


def test_no_key_is_fetched_from_where_a_token_says(here: Door, provider: OpenIDProvider) -> None:
    with openid_provider() as hostile:
        stranger = hostile.key
        own = {"kid": stranger.kid}
        for header in (
            {"jku": hostile.jwks_uri},
            {"x5u": hostile.jwks_uri},
            {"jwk": stranger.as_dict(private=False)},
            {"jku": provider.jwks_uri + "#" + hostile.jwks_uri},
        ):
            refused(here, provider.token(stranger, header=own | header))
            # With the issuer's own signature as well: nothing of the kind is looked at.
            refused(here, provider.token(header=header))
        assert sum(hostile.requests.values()) == 0


def test_an_issuer_may_say_where_its_keys_lie_if_they_do(
    here: Door, provider: OpenIDProvider
) -> None:
    """CDS Hooks and SMART have such headers (``jku``)."""
    assert here.caller(provider.token(header={"jku": provider.jwks_uri}))


@pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": True}])
def test_what_must_be_understood_and_is_not_is_refused(
    here: Door, provider: OpenIDProvider, header: dict[str, Any]
) -> None:
    token = provider.token()
    _, payload, signature = token.split(".")
    described = {"alg": "ES256", "kid": provider.key.kid, **header}
    head = base64.urlsafe_b64encode(json.dumps(described).encode()).rstrip(b"=").decode()
    refused(here, f"{head}.{payload}.{signature}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "e30.e30.",
        "bnVsbA.bnVsbA.bnVsbA",
        "W10.W10.W10",
        "\x00.\x00.\x00",
        "eyJhbGciOiJFUzI1NiJ9.bm90IGpzb24.AA",
        unsigned({"alg": "ES256"}, {}),
        unsigned({"alg": ["ES256"]}, {}),
        base64.urlsafe_b64encode(b"[" * 5_000).decode() + ".e30.",
        "eyJhbGciOiJFUzI1NiJ9." + base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".AA",
        "eyJhbGciOiJFUzI1NiJ9." + base64.urlsafe_b64encode(b'{"exp":1e999}').decode() + ".AA",
        "a" * (LARGEST_TOKEN + 1),
    ],
)
def test_what_is_no_token_is_refused(here: Door, text: str) -> None:
    refused(here, text)


def test_a_token_larger_than_any_honest_one_is_refused(
    here: Door, provider: OpenIDProvider
) -> None:
    assert here.caller(provider.token(groups=["g" * 30] * 200))
    refused(here, provider.token(groups=["g" * 30] * 400))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Bearer a", "Bearer b"],
        ["Basic dXNlcjpwYXNz"],
        ["Bearer"],
        ["Bearer é"],
        ["DPoP a.b.c"],
    ],
)
def test_one_header_with_one_bearer_token_it_must_be(here: Door, headers: list[str]) -> None:
    with pytest.raises(UnauthenticatedError):
        asyncio.run(here.tokens.caller(headers, "/v1/score"))


def test_the_scheme_is_written_as_anybody_likes(here: Door, provider: OpenIDProvider) -> None:
    assert asyncio.run(here.tokens.caller([f"bEaReR {provider.token()}"], "/v1/score"))


# Systems that an issuer speaks for, and tokens that are good for one request (CDS Hooks).


@pytest.fixture
def hooks(provider: OpenIDProvider, tmp_path: Path) -> Iterator[Door]:
    more = 'single_use = true\nsystem_scopes = "system/RiskAssessment.c"'
    with door(tmp_path, issuer_table(provider, more, roles="")) as opened:
        provider.person = {}
        yield opened


def test_an_ehr_signs_each_request_and_may_do_what_the_operator_says(
    hooks: Door, provider: OpenIDProvider
) -> None:
    caller = hooks.caller(provider.token())
    assert caller.is_system
    assert caller.subject == provider.issuer
    assert caller.may("RiskAssessment", "c")
    assert not caller.may("RiskAssessment", "r")
    wide = hooks.caller(provider.token(scope="system/*.cruds"))
    assert not wide.may("RiskAssessment", "r")
    refused(hooks, provider.token(scope="system/AuditEvent.rs"))


@pytest.mark.parametrize("scope", [None, "openid profile"])
def test_a_person_without_a_role_is_not_let_in_as_a_program(
    provider: OpenIDProvider, tmp_path: Path, scope: str | None
) -> None:
    """Of an issuer that speaks for people and for programs: the porter is no program."""
    more = 'system_scopes = "system/*.cruds"'
    with door(tmp_path, issuer_table(provider, more)) as both:
        refused(both, provider.token(sub="example-porter", roles=["porter"], scope=scope))
        assert both.caller(provider.token(roles=None, scope="system/Device.r")).is_system
        assert not both.caller(provider.token(roles=["ward-physician"])).is_system


def test_a_token_for_one_request_is_refused_at_the_second(
    hooks: Door, provider: OpenIDProvider
) -> None:
    token = provider.token()
    hooks.caller(token)
    refused(hooks, token)
    hooks.caller(provider.token())


def test_a_token_for_one_request_must_be_one_that_can_be_told_apart(
    hooks: Door, provider: OpenIDProvider
) -> None:
    refused(hooks, provider.token(jti=None))
    refused(hooks, provider.token(jti=""))
    refused(hooks, provider.token(jti="j" * 513))


def test_a_used_token_stays_refused_until_it_has_expired_for_good(
    hooks: Door, provider: OpenIDProvider
) -> None:
    token = provider.token(exp=hooks.now + 10)
    hooks.caller(token)
    hooks.now += 69
    hooks.caller(provider.token(exp=hooks.now + 10))  # deletes what has expired on its way
    refused(hooks, token)
    hooks.now += 1
    hooks.caller(provider.token(exp=hooks.now + 10))
    refused(hooks, token)


def test_a_refused_token_is_not_used_up(hooks: Door, provider: OpenIDProvider) -> None:
    """Or else whoever guesses an id could lock its owner out."""
    refused(hooks, provider.token(new_key(kid=str(provider.key.kid)), jti="an-id"))
    refused(hooks, provider.token(aud="another-service", jti="an-id"))
    assert hooks.caller(provider.token(jti="an-id"))


def test_of_many_uses_at_once_one_counts(hooks: Door, provider: OpenIDProvider) -> None:
    token = provider.token()

    async def at_once() -> list[Any]:
        asked = (hooks.tokens.caller([f"Bearer {token}"], "/v1/score") for _ in range(20))
        return await asyncio.gather(*asked, return_exceptions=True)

    results = asyncio.run(at_once())
    assert sum(isinstance(one, UnauthenticatedError) for one in results) == 19
