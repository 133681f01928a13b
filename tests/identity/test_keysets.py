"""Keys are fetched when they are needed, from where they belong, and never more often than fits."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from openid_provider import OpenIDProvider, new_key, openid_provider

from service.identity import fetching
from service.identity.fetching import FetchError, fetch, safe_url
from service.identity.issuers import Issuer, endpoints_of
from service.identity.keysets import (
    AFTER_FAILURE_SECONDS,
    BETWEEN_FETCHES_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    PublicKeys,
    PublishedKeys,
)


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as running:
        yield running


class Asked:
    """The keys of a provider as the service sees them, at a moment that the test chooses."""

    def __init__(self, provider: OpenIDProvider) -> None:
        self.now = 1_000.0
        self.provider = provider
        self.keys = PublishedKeys("issuer[0]", self._locate, lambda: self.now)

    async def _locate(self) -> str:
        return self.provider.jwks_uri

    def has(self, kid: str | None) -> bool:
        return asyncio.run(self.keys.matching(kid, "ES256")) is not None

    @property
    def fetches(self) -> int:
        return self.provider.requests["/jwks"]


@pytest.fixture
def asked(provider: OpenIDProvider) -> Asked:
    return Asked(provider)


def test_nothing_is_fetched_before_it_is_needed_and_then_once(asked: Asked) -> None:
    assert asked.fetches == 0
    for _ in range(3):
        assert asked.has(asked.provider.key.kid)
    assert asked.fetches == 1


def test_a_new_key_is_found_at_its_first_token(asked: Asked) -> None:
    assert asked.has(asked.provider.key.kid)
    new = asked.provider.rotate(keep=True)
    assert asked.has(new.kid)
    assert asked.fetches == 2


def test_a_key_that_was_withdrawn_is_not_used_on(asked: Asked) -> None:
    old = asked.provider.key
    assert asked.has(old.kid)
    new = asked.provider.rotate()
    assert asked.has(new.kid)
    assert not asked.has(old.kid)


def test_a_withdrawn_key_is_noticed_within_the_hour_without_any_new_one(asked: Asked) -> None:
    old = asked.provider.key
    assert asked.has(old.kid)
    asked.provider.rotate()
    asked.now += FRESH_SECONDS - 1
    assert asked.has(old.kid)
    asked.now += 1
    assert not asked.has(old.kid)


def test_unknown_ids_lead_to_one_fetch_in_half_a_minute(asked: Asked) -> None:
    assert asked.has(asked.provider.key.kid)
    for number in range(50):
        assert not asked.has(f"made-up-{number}")
    assert asked.fetches == 2
    asked.now += BETWEEN_FETCHES_SECONDS
    for number in range(50):
        assert not asked.has(f"made-up-again-{number}")
    assert asked.fetches == 3
    assert asked.has(asked.provider.key.kid)


def test_many_requests_at_once_share_one_fetch(asked: Asked) -> None:
    asked.provider.delay = 0.2

    async def ask(kid: str | None) -> list[Any]:
        return await asyncio.gather(*(asked.keys.matching(kid, "ES256") for _ in range(30)))

    async def before_and_after_a_rotation() -> None:
        assert all(await ask(asked.provider.key.kid))
        assert asked.fetches == 1
        new = asked.provider.rotate()
        assert all(await ask(new.kid))
        assert asked.fetches == 2

    asyncio.run(before_and_after_a_rotation())


def test_while_one_request_fetches_anew_the_others_are_not_held_up(asked: Asked) -> None:
    kid = asked.provider.key.kid
    assert asked.has(kid)
    asked.now += FRESH_SECONDS
    asked.provider.delay = 0.5

    async def at_once() -> bool:
        refreshing = asyncio.create_task(asked.keys.matching(kid, "ES256"))
        while asked.fetches < 2:
            await asyncio.sleep(0.01)
        assert await asked.keys.matching(kid, "ES256") is not None
        early = not refreshing.done()
        await refreshing
        return early

    assert asyncio.run(at_once())


def test_while_the_issuer_is_away_its_keys_serve_on_for_a_day(asked: Asked) -> None:
    kid = asked.provider.key.kid
    assert asked.has(kid)
    asked.provider.stop()
    asked.now += KEPT_SECONDS
    assert asked.has(kid)
    asked.now += 1
    assert not asked.has(kid)
    asked.provider.start()
    asked.now += AFTER_FAILURE_SECONDS
    assert asked.has(kid)


def test_an_issuer_that_is_away_at_the_start_is_found_when_it_is_back(asked: Asked) -> None:
    asked.provider.stop()
    assert not asked.has(asked.provider.key.kid)
    asked.provider.start()
    assert not asked.has(asked.provider.key.kid)
    asked.now += AFTER_FAILURE_SECONDS
    assert asked.has(asked.provider.key.kid)


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
def test_an_answer_that_is_not_the_keys_changes_nothing(asked: Asked, status: int) -> None:
    kid = asked.provider.key.kid
    assert asked.has(kid)
    asked.provider.status = status
    asked.now += FRESH_SECONDS
    assert asked.has(kid)


def test_a_redirect_is_not_followed(provider: OpenIDProvider) -> None:
    with openid_provider() as elsewhere:
        query = (
            "response_type=code&client_id=readmit-pages&code_challenge_method=S256&scope=openid"
            f"&state=s&code_challenge={'c' * 43}&redirect_uri={elsewhere.jwks_uri}"
        )
        with pytest.raises(FetchError, match="302"):
            asyncio.run(fetch(f"{provider.issuer}/authorize?{query}"))
        assert sum(elsewhere.requests.values()) == 0


def test_an_endless_answer_is_cut_off(
    provider: OpenIDProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LARGEST_ANSWER", 100)
    with pytest.raises(FetchError, match="too large"):
        asyncio.run(fetch(provider.jwks_uri))


def test_a_slow_answer_is_given_up(
    provider: OpenIDProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "WITHIN_SECONDS", 0.05)
    provider.delay = 0.5
    with pytest.raises(FetchError, match="no answer"):
        asyncio.run(fetch(provider.jwks_uri))


@pytest.mark.parametrize(
    "url",
    [
        "https://id.hospital.example",
        "https://id.hospital.example:8443/realm?x=1",
        "http://127.0.0.1:9000/jwks",
        "http://localhost/jwks",
        "http://[::1]/jwks",
    ],
)
def test_https_and_this_machine_may_be_asked(url: str) -> None:
    assert safe_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://id.hospital.example/jwks",
        "http://127.0.0.1.hospital.example/jwks",
        "http://localhost.hospital.example/jwks",
        "http://169.254.169.254/latest",
        "http://2130706433/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
        "https://user:password@id.hospital.example",
        "https://id.hospital.example/#fragment",
        "https://",
        "https://id.hospital.example:port",
        "https://[::1",
        "https://id.hospitäl.example",
    ],
)
def test_nothing_else_may_be_asked(url: str) -> None:
    assert not safe_url(url)
    with pytest.raises(FetchError):
        asyncio.run(fetch(url))


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


GOOD = new_key("ES256", kid="good").as_dict(private=False)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        {"kty": "AKP", "kid": "bad", "pub": "AAAA"},
        {"kty": "EC", "kid": "bad", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "kid": "bad", "crv": "P-999", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "kid": "bad", "crv": ["P-256"], "x": "AAAA", "y": "AAAA"},
        {"kty": "RSA", "kid": "bad", "n": "A" * 400, "e": "AQAB"},
        {"kty": "RSA", "kid": "bad", "n": "_" * 2_000, "e": "AQAB"},
        {"kty": "RSA", "kid": "bad", "n": "é" * 400, "e": "AQAB"},
        OctKey.generate_key(256, {"kid": "bad"}).as_dict(private=True),
        {**GOOD, "kid": "bad", "use": "enc"},
        {**GOOD, "kid": "bad", "key_ops": ["encrypt"]},
    ],
)
def test_one_unusable_key_does_not_spoil_the_set(bad: Any) -> None:
    keys = PublicKeys(jwks(bad, GOOD))
    assert keys.matching("good", "ES256") is not None
    assert keys.matching(None, "ES256") is not None
    for algorithm in ("RS256", "RS384", "ES256", "ES384"):
        assert keys.matching("bad", algorithm) is None


def test_a_weak_key_is_not_used() -> None:
    with pytest.warns(UserWarning, match="2048"):
        weak = RSAKey.generate_key(1024, {"kid": "weak"}).as_dict(private=False)
    assert PublicKeys(jwks(weak)).matching("weak", "RS256") is None


def test_a_private_key_in_the_set_is_used_as_a_public_one() -> None:
    key = new_key("ES384", kid="leaked")
    found = PublicKeys(jwks(key.as_dict(private=True))).matching("leaked", "ES384")
    assert isinstance(found, ECKey)
    assert not found.is_private


def test_a_token_without_key_id_means_the_only_key_that_fits() -> None:
    other = new_key("ES256", kid="other").as_dict(private=False)
    rsa = new_key("RS256", kid="rsa").as_dict(private=False)
    assert PublicKeys(jwks(GOOD, rsa)).matching(None, "ES256") is not None
    assert PublicKeys(jwks(GOOD, other)).matching(None, "ES256") is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": 3}', b"\xff", b"[" * 100_000])
def test_what_is_no_key_set_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="JWK Set"):
        PublicKeys(content)


# What an issuer says of itself.


def test_an_issuer_says_where_it_answers(provider: OpenIDProvider) -> None:
    declared = Issuer(
        issuer=provider.issuer, audience="readmit", token_endpoint="https://t.example"
    )
    found = asyncio.run(endpoints_of(declared))
    assert found.jwks_uri == provider.jwks_uri
    assert found.authorization_endpoint == f"{provider.issuer}/authorize"
    assert found.token_endpoint == "https://t.example"


def test_an_issuer_that_is_fully_declared_is_not_asked(provider: OpenIDProvider) -> None:
    declared = Issuer(
        issuer=provider.issuer,
        audience="readmit",
        jwks_uri="https://k.example",
        authorization_endpoint="https://a.example",
        token_endpoint="https://t.example",
    )
    assert asyncio.run(endpoints_of(declared)).jwks_uri == "https://k.example"
    assert sum(provider.requests.values()) == 0


def test_an_issuer_that_speaks_for_another_is_not_believed(provider: OpenIDProvider) -> None:
    described = provider.discovery() | {"issuer": "https://id.hospital.example"}
    provider.discovery = lambda: described  # type: ignore[method-assign]  # the test's own
    with pytest.raises(FetchError, match="another issuer"):
        asyncio.run(endpoints_of(Issuer(issuer=provider.issuer, audience="readmit")))
