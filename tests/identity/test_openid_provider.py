"""The provider that the other tests rely on is one: it signs what it publishes, and checks PKCE."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from openid_provider import AUDIENCE, CLIENT_ID, OpenIDProvider, openid_provider

VERIFIER = "a-verifier-that-only-the-browser-knows-0123456789"
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
BACK = "http://127.0.0.1:8000/signed-in"


def authorize(provider: OpenIDProvider, **changed: str) -> httpx.Response:
    asked = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": BACK,
        "scope": "openid profile",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return httpx.get(f"{provider.issuer}/authorize", params=asked | changed)


def exchange(provider: OpenIDProvider, code: str, verifier: str = VERIFIER) -> httpx.Response:
    return httpx.post(
        f"{provider.issuer}/token",
        data={
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "redirect_uri": BACK,
            "code": code,
            "code_verifier": verifier,
        },
    )


def code_of(answer: httpx.Response) -> str:
    assert answer.status_code == 302
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert sent["state"] == ["the-state"]
    return sent["code"][0]


def test_it_signs_in_once_for_a_code_and_its_verifier() -> None:
    with openid_provider() as provider:
        code = code_of(authorize(provider))
        tokens = exchange(provider, code).json()
        published = httpx.get(httpx.get(_discovery(provider)).json()["jwks_uri"]).json()
        keys = KeySet.import_key_set(published)
        identity = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
        access = jwt.decode(tokens["access_token"], keys, algorithms=["ES256"]).claims
        assert (identity["nonce"], identity["aud"]) == ("the-nonce", CLIENT_ID)
        assert access["aud"] == AUDIENCE
        assert exchange(provider, code).status_code == 400
        assert provider.requests["/token"] == 2


def _discovery(provider: OpenIDProvider) -> str:
    return f"{provider.issuer}/.well-known/openid-configuration"


def test_it_refuses_another_verifier() -> None:
    with openid_provider() as provider:
        code = code_of(authorize(provider))
        assert exchange(provider, code, verifier="another").status_code == 400


@pytest.mark.parametrize(
    "changed", [{"code_challenge_method": "plain"}, {"client_id": "another"}, {"state": ""}]
)
def test_it_refuses_a_request_that_is_not_safe(changed: dict[str, str]) -> None:
    with openid_provider() as provider:
        assert authorize(provider, **changed).status_code == 400


def test_it_comes_back_on_the_port_it_had() -> None:
    with openid_provider("RS256") as provider:
        before = provider.issuer
        provider.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(_discovery(provider))
        provider.start()
        assert httpx.get(_discovery(provider)).json()["issuer"] == before
