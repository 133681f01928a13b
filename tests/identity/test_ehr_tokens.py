"""The service gets its own tokens from an EHR: with its key, once for many requests, in time."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from doors import Door, door
from joserfc import jwt
from joserfc.jwk import KeySet

from service.identity.ehr_tokens import EHRAwayError, EHRRefusedError, EHRTokens

SCOPES = "system/Patient.rs system/Encounter.rs"


class EHR:
    """The token endpoint of an EHR that has registered this service's public keys."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.received: list[dict[str, str]] = []
        self.answer: tuple[int, bytes] | None = None
        self.expires_in = 300
        ehr = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                status, content = ehr.answer or ehr.judge(form)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/token"

    def judge(self, form: dict[str, str]) -> tuple[int, bytes]:
        keys = KeySet.import_key_set({"keys": self.keys})  # type: ignore[typeddict-item]  # ours
        claims = jwt.decode(form["client_assertion"], keys, algorithms=["ES384"]).claims
        assert claims["iss"] == claims["sub"] == "readmit-at-ehr"
        assert claims["aud"] == self.url
        assert claims["exp"] - claims["iat"] <= 300
        assert form["grant_type"] == "client_credentials"
        assert claims["jti"] not in {one["jti"] for one in self.received}
        self.received.append({"jti": claims["jti"], "scope": form["scope"]})
        token = f"token-{len(self.received)}"
        return 200, msgspec.json.encode(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        )

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Door]:
    with door(tmp_path, "") as opened:
        yield opened


@pytest.fixture
def ehr(here: Door) -> Iterator[EHR]:
    running = EHR()
    running.keys = here.signing.published()
    yield running
    running.close()


class Held:
    def __init__(self, here: Door, ehr: EHR) -> None:
        self.now = 50.0
        self.tokens = EHRTokens(here.signing, lambda: self.now)
        self.ehr = ehr

    def token(self, scopes: str = SCOPES) -> str:
        return asyncio.run(self.tokens.access_token(self.ehr.url, "readmit-at-ehr", scopes))


@pytest.fixture
def held(here: Door, ehr: EHR) -> Held:
    return Held(here, ehr)


def test_a_token_is_asked_for_once_and_kept_until_shortly_before_its_end(held: Held) -> None:
    assert held.token() == "token-1"
    held.now += 269
    assert held.token() == "token-1"
    held.now += 1
    assert held.token() == "token-2"


def test_tokens_for_different_scopes_are_kept_apart(held: Held) -> None:
    assert held.token() == "token-1"
    assert held.token("system/Group.rs") == "token-2"
    assert held.token() == "token-1"
    assert [one["scope"] for one in held.ehr.received] == [SCOPES, "system/Group.rs"]


def test_many_requests_at_once_ask_for_one_token(held: Held) -> None:
    async def at_once() -> set[str]:
        asked = (
            held.tokens.access_token(held.ehr.url, "readmit-at-ehr", SCOPES) for _ in range(20)
        )
        return set(await asyncio.gather(*asked))

    assert asyncio.run(at_once()) == {"token-1"}


def test_a_token_that_the_ehr_no_longer_takes_is_not_used_again(held: Held) -> None:
    held.tokens.forget(held.token())
    assert held.token() == "token-2"


def test_after_a_rotation_the_new_key_signs(held: Held, here: Door) -> None:
    here.now += 1
    kid = here.signing.rotate()
    held.ehr.keys = [one for one in here.signing.published() if one["kid"] == kid]
    assert held.token() == "token-1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": "invalid_client"}', "invalid_client"),
        (b'{"error": "canary"}', "a reason of its own"),
        (b"canary", "without a reason"),
    ],
)
def test_a_refusal_says_why_in_oauths_words_alone(held: Held, content: bytes, said: str) -> None:
    held.ehr.answer = (400, content)
    with pytest.raises(EHRRefusedError, match=said) as caught:
        held.token()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"canary"),
        (200, b"{}"),
        (200, b'{"access_token": "", "token_type": "bearer"}'),
        (200, b'{"access_token": "canary", "token_type": "mac"}'),
        (302, b""),
        (500, b"canary"),
        (503, b""),
    ],
)
def test_an_answer_that_is_no_token_is_said_to_be_none(
    held: Held, answer: tuple[int, bytes]
) -> None:
    held.ehr.answer = answer
    with pytest.raises(EHRAwayError) as caught:
        held.token()
    assert "canary" not in str(caught.value)
    held.ehr.answer = None
    assert held.token() == "token-1"


def test_an_ehr_that_is_away_is_said_to_be(here: Door) -> None:
    tokens = EHRTokens(here.signing)
    for url in ("http://127.0.0.1:1/token", "http://ehr.example/token"):
        with pytest.raises(EHRAwayError):
            asyncio.run(tokens.access_token(url, "readmit-at-ehr", SCOPES))
