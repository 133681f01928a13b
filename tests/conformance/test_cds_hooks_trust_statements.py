"""CDS Hooks 2.0, feedback and trust: a test for each statement, its docstring the statement."""

import time
from typing import Any

import pytest
from calling_ehrs import EHR
from hook_calls import DISCHARGE, call_of
from openid_provider import new_key, signed
from trusting_service import bundle_of

from service.settings import Settings, SettingsError
from service.surroundings.exposure import exposure_of

FEEDBACK = f"{DISCHARGE}/feedback"
DISCOVERY = "/cds-services"


def report_on(card: dict[str, Any], **changes: Any) -> dict[str, Any]:
    report = {
        "card": card["uuid"],
        "outcome": "overridden",
        "outcomeTimestamp": "2026-03-09T12:00:00Z",
    }
    return {**report, **changes}


# Feedback


def test_feedback(ehr: EHR, patient: str) -> None:
    """Feedback is posted to `{base}/cds-services/{id}/feedback`, an object with an array, and
    answered with 200.

    Section: Feedback
    """
    assert ehr.report({"feedback": [report_on(ehr.card(patient))]}) == 200
    assert ehr.report([report_on(ehr.card(f"{patient}-2"))]) == 400


def test_feedback_repeated(ehr: EHR, patient: str) -> None:
    """Feedback may come for several cards at once, and for one card several times.

    Section: Suggestion accepted
    """
    reports = [report_on(ehr.card(f"{patient}-{number}")) for number in range(2)]
    assert [ehr.report({"feedback": [*reports, *reports]}) for _ in range(2)] == [200, 200]


def test_several_suggestions(ehr: EHR, card: dict[str, Any]) -> None:
    """One or more suggestions of a card can be accepted, each by its uuid.

    Section: Suggestion accepted
    """
    taken = [{"id": one["uuid"]} for one in card["suggestions"]]
    assert len(taken) > 1
    report = report_on(card, outcome="accepted", acceptedSuggestions=taken)
    assert ehr.report({"feedback": [report]}) == 200
    nameless = report_on(card, outcome="accepted", acceptedSuggestions=[{}])
    assert ehr.report({"feedback": [nameless]}) == 400


def test_overridden_without_a_reason(ehr: EHR, card: dict[str, Any]) -> None:
    """A card may be overridden without an `overrideReason`.

    Section: Overridden guidance
    """
    assert ehr.report({"feedback": [report_on(card)]}) == 200


def test_overridden_with_a_reason(ehr: EHR, card: dict[str, Any]) -> None:
    """An `overrideReason` holds a `reason` of the card's or of the client's own, and a
    `userComment`.

    Section: Explicit reject with override reasons
    """
    offered = card["overrideReasons"][0]
    own = {"code": "d7ecf885", "system": "https://ehr.example/reasons"}
    for reason in ({key: offered[key] for key in ("code", "system")}, own):
        why = {"reason": reason, "userComment": "Seen on Thursday."}
        assert ehr.report({"feedback": [report_on(card, overrideReason=why)]}) == 200


@pytest.mark.parametrize("name", ["card", "outcome", "outcomeTimestamp"])
def test_required_of_feedback(ehr: EHR, card: dict[str, Any], name: str) -> None:
    """Feedback without `card`, `outcome` or `outcomeTimestamp` is refused.

    Section: Feedback
    """
    report = {key: value for key, value in report_on(card).items() if key != name}
    assert ehr.report({"feedback": [report]}) == 400


def test_outcome_timestamp(ehr: EHR, card: dict[str, Any]) -> None:
    """`outcomeTimestamp` is a date and time of RFC 3339, section 5.6.

    Section: Feedback
    """
    for moment in ("1985-04-12T23:20:50.52Z", "1996-12-19T16:39:57-08:00"):
        assert ehr.report({"feedback": [report_on(card, outcomeTimestamp=moment)]}) == 200
    for other in ("yesterday", "2026-03-09T12:00:00", "1741521600"):
        assert ehr.report({"feedback": [report_on(card, outcomeTimestamp=other)]}) == 400


def test_cds_fb_1(ehr: EHR, card: dict[str, Any]) -> None:
    """cds-fb-1: outcome must be 'accepted' or 'overridden'.

    Section: Invariants; Feedback
    """
    assert ehr.report({"feedback": [report_on(card, outcome="ignored")]}) == 400


def test_cds_fb_2(ehr: EHR, card: dict[str, Any]) -> None:
    """cds-fb-2: if outcome is 'accepted', acceptedSuggestions SHALL be provided.

    Section: Invariants; Feedback
    """
    assert ehr.report({"feedback": [report_on(card, outcome="accepted")]}) == 400
    taken = [{"id": card["suggestions"][0]["uuid"]}]
    report = report_on(card, outcome="accepted", acceptedSuggestions=taken)
    assert ehr.report({"feedback": [report]}) == 200


def test_cds_fb_3(ehr: EHR, card: dict[str, Any]) -> None:
    """cds-fb-3: an overrideReason must contain a reason, a userComment, or both.

    Section: Invariants; OverrideReason
    """
    assert ehr.report({"feedback": [report_on(card, overrideReason={})]}) == 400
    commented = report_on(card, overrideReason={"userComment": "Seen on Thursday."})
    assert ehr.report({"feedback": [commented]}) == 200


# Trust


def test_tls(ehr: EHR) -> None:
    """All data MUST go over TLS: the service does not start where others would reach it without.

    Section: Security and Safety
    """
    issuers = ehr.service.opt_out.with_name("issuers.toml")
    everywhere = Settings(issuers=issuers, host="0.0.0.0", public_url="https://readmit.example")
    with pytest.raises(SettingsError, match="unencrypted"):
        exposure_of(everywhere)


def test_jwt_on_every_call(ehr: EHR) -> None:
    """Every call carries a JWT, discovery included: without one, 401.

    Section: Trusting CDS Clients
    """
    ask = ehr.service.ask
    made = call_of(bundle_of("p"))
    assert ask("GET", DISCOVERY).status_code == 401
    assert ask("POST", DISCHARGE, json=made).status_code == 401
    assert ask("POST", FEEDBACK, json={"feedback": []}).status_code == 401


def test_bearer(ehr: EHR) -> None:
    """The JWT is presented as a Bearer token in the `Authorization` header.

    Section: Trusting CDS Clients
    """
    for scheme, status in (("Basic", 401), ("Bearer", 200)):
        headers = {"Authorization": f"{scheme} {ehr.jwt(DISCOVERY)}"}
        assert ehr.service.ask("GET", DISCOVERY, headers=headers).status_code == status
    asked = ehr.service.ask("GET", f"{DISCOVERY}?access_token={ehr.jwt(DISCOVERY)}")
    assert asked.status_code == 401


def test_signature(ehr: EHR) -> None:
    """The JWT is signed by the client's private key: another's, by its name, is refused.

    Section: Trusting CDS Clients
    """
    token = ehr.jwt(DISCOVERY)
    other = new_key(str(ehr.provider.key.alg), kid=str(ehr.provider.key.kid))
    claims = {"iss": ehr.provider.issuer, "aud": "x", "exp": time.time() + 60, "jti": "1"}
    signature = signed(claims, other).rpartition(".")[2]
    assert ehr.discover(f"{token.rpartition('.')[0]}.{signature}").status_code == 401


def test_type(ehr: EHR) -> None:
    """`typ` is `JWT`: a token that says it is of another kind is refused.

    Section: Trusting CDS Clients
    """
    assert ehr.discover(ehr.jwt(DISCOVERY, header={"typ": "dpop+jwt"})).status_code == 401


@pytest.mark.parametrize("kid", ["another", None])
def test_key_id(ehr: EHR, kid: str | None) -> None:
    """`kid` is REQUIRED and identifies the key in the JWK Set: without it, or with another, the
    JWT is refused.

    Section: Trusting CDS Clients
    """
    assert ehr.discover(ehr.jwt(DISCOVERY, header={"kid": kid})).status_code == 401


def test_without_jku(ehr: EHR) -> None:
    """`jku` is OPTIONAL: without it, the keys are those that were agreed on.

    Section: Trusting CDS Clients
    """
    assert ehr.discover(ehr.jwt(DISCOVERY, header={"jku": None})).status_code == 200


def test_audience(ehr: EHR) -> None:
    """`aud` says for whom the JWT is, as a string or in an array: one for another is refused.

    Section: Trusting CDS Clients
    """
    elsewhere = "https://elsewhere.example/cds-services"
    own = "readmit-by-hand" if "aud" in ehr.more else "http://127.0.0.1:8000/cds-services"
    assert ehr.discover(ehr.jwt(DISCOVERY, aud=elsewhere)).status_code == 401
    assert ehr.discover(ehr.jwt(DISCOVERY, aud=[elsewhere])).status_code == 401
    assert ehr.discover(ehr.jwt(DISCOVERY, aud=[elsewhere, own])).status_code == 200


def test_audience_is_the_url(ehr: EHR) -> None:
    """`aud` MUST be the URL of the endpoint that is called: a JWT for one is none for another.

    Section: Trusting CDS Clients
    """
    if "aud" in ehr.more:
        pytest.skip("it sends the `aud` that the site set by hand, for every URL")
    made = call_of(bundle_of("p"))
    assert ehr.call(made, token=ehr.jwt(DISCOVERY)).status_code == 401
    assert ehr.discover(ehr.jwt(DISCHARGE)).status_code == 401


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "jti"])
def test_required_claims(ehr: EHR, claim: str) -> None:
    """A JWT without `iss`, `aud`, `exp`, `iat` or `jti` is refused.

    Section: Trusting CDS Clients
    """
    assert ehr.discover(ehr.jwt(DISCOVERY, **{claim: None})).status_code == 401


def test_tenant(ehr: EHR) -> None:
    """`tenant` is OPTIONAL.

    Section: Trusting CDS Clients
    """
    assert ehr.discover(ehr.jwt(DISCOVERY, tenant="example-hospital")).status_code == 200


def test_expired(ehr: EHR) -> None:
    """A JWT that has expired is refused.

    Section: Trusting CDS Clients
    """
    past = int(time.time()) - 600
    assert ehr.discover(ehr.jwt(DISCOVERY, exp=past)).status_code == 401


def test_replay(ehr: EHR) -> None:
    """A `jti` that was used before is refused, for whatever is called.

    Section: Trusting CDS Clients
    """
    token = ehr.jwt(DISCOVERY, jti="example-nonce")
    assert [ehr.discover(token).status_code for _ in range(2)] == [200, 401]
    again = ehr.jwt(DISCHARGE, jti="example-nonce")
    assert ehr.call(call_of(bundle_of("p")), token=again).status_code == 401


def test_allow_lists(ehr: EHR) -> None:
    """Services SHOULD keep a list of the `iss` and `jku` that they trust: any other is refused.

    Section: Trusting CDS Clients
    """
    assert ehr.discover(ehr.jwt(DISCOVERY, iss="https://elsewhere.example")).status_code == 401
    elsewhere = {"jku": "https://elsewhere.example/jwks"}
    assert ehr.discover(ehr.jwt(DISCOVERY, header=elsewhere)).status_code == 401


def test_recommended_algorithms(ehr: EHR) -> None:
    """ES384 and RS384 are RECOMMENDED: a JWT that is signed with the EHR's is accepted.

    Section: JWT Signing Algorithm
    """
    assert ehr.provider.key.alg in ("ES384", "RS384")
    assert ehr.discover().status_code == 200


def test_algorithms(ehr: EHR) -> None:
    """A JWT SHALL NOT be signed with `none` or a symmetric algorithm; nor is any other accepted
    than the one that was agreed on.

    Section: JWT Signing Algorithm
    """
    _, payload, _ = ehr.jwt(DISCOVERY).split(".")
    for header in (
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",  # {"alg":"none","typ":"JWT"}
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",  # {"alg":"HS256","typ":"JWT"}
    ):
        assert ehr.discover(f"{header}.{payload}.").status_code == 401
        assert ehr.discover(f"{header}.{payload}.c2ln").status_code == 401
    other = new_key("ES256", kid=str(ehr.provider.key.kid))
    claims = {"iss": ehr.provider.issuer, "aud": "x", "exp": time.time() + 60}
    assert ehr.discover(signed(claims, other)).status_code == 401
