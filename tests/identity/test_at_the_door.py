"""The running service: one bare refusal for all, OAuth's own answers, and workers that share."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from doors import Ask, asking, assertion, client_table, issuer_table, token_form
from each_database import kept_in
from openid_provider import Key, OpenIDProvider, new_key, openid_provider

from service.audit.verify import verify
from service.database.engine import Database
from service.identity.keysets import PublishedKeys
from service.identity.signed_tokens import Why
from service.keeping import anchor_of
from service.observing.logs import JSONLines, word_of
from service.protection.keys import new_keys, read_keys, write_keys
from service.settings import Settings

OWN = "http://127.0.0.1:8000"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Installation:
    """What an operator has set up: keys, a database, and whom to trust."""

    def __init__(self, folder: Path, provider: OpenIDProvider, key: Key) -> None:
        provider.person = {"sub": "example-clinician", "roles": ["ward-physician"]}
        self.folder = folder
        self.key = key
        trusted = issuer_table(provider, "single_use = true") + client_table(
            folder, "night-batch", key, "system/RiskAssessment.crs"
        )
        (folder / "trusted.toml").write_text(trusted, encoding="utf-8")
        write_keys(folder / "keys", new_keys())

    @property
    def settings(self) -> dict[str, Any]:
        return {
            **kept_in(self.folder),
            "key_file": self.folder / "keys",
            "issuers": self.folder / "trusted.toml",
        }

    def proof(self, token_url: str = f"{OWN}/oauth/token") -> dict[str, str]:
        return token_form(
            assertion(self.key, time.time(), aud=token_url), "system/RiskAssessment.rs"
        )


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as running:
        yield running


@pytest.fixture(scope="module")
def installation(
    provider: OpenIDProvider, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    return Installation(tmp_path_factory.mktemp("installed"), provider, new_key("ES384"))


@pytest.fixture(scope="module")
def ask(installation: Installation, each_database: str) -> Iterator[Ask]:
    with asking(Settings(**installation.settings), OWN) as running:
        yield running


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_of_the_issuer_says_who_asks(ask: Ask, provider: OpenIDProvider) -> None:
    answer = ask("GET", "/whoami", headers=bearer(provider.token()))
    assert answer.status_code == 200
    assert answer.json()["subject"] == "example-clinician"
    assert answer.json()["roles"] == ["clinician"]


def test_every_refusal_is_the_same_bare_one(ask: Ask, provider: OpenIDProvider) -> None:
    used = provider.token()
    assert ask("GET", "/whoami", headers=bearer(used)).status_code == 200
    refused = [
        ask("GET", "/whoami"),
        ask("GET", "/whoami", headers={"Authorization": "Basic dXNlcjpwYXNz"}),
        *(
            ask("GET", "/whoami", headers=bearer(token))
            for token in (
                "",
                "canary",
                used,
                provider.token(new_key(kid=str(provider.key.kid))),
                provider.token(aud="another-service"),
                provider.token(iss="https://elsewhere.example"),
                provider.token(exp=time.time() - 3_600),
                provider.token(roles=["porter"]),
            )
        ),
        ask("GET", "/whoami", headers=[("Authorization", f"Bearer {provider.token()}")] * 2),
    ]
    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.content for answer in refused}) == 1
    assert {answer.headers["www-authenticate"] for answer in refused} == {"Bearer"}
    assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}


def test_a_wrong_token_is_refused_in_development_mode_too(
    installation: Installation, tmp_path: Path
) -> None:
    settings = Settings(development=True, **kept_in(tmp_path))
    with asking(settings, OWN) as open_to_developers:
        assert open_to_developers("GET", "/whoami").status_code == 200
        assert open_to_developers("GET", "/whoami", headers=bearer("wrong")).status_code == 401


def test_a_token_is_not_written_to_the_log(
    ask: Ask, provider: OpenIDProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    tokens = [provider.token(), provider.token(aud="another-service", jti="canary-id")]
    for token in tokens:
        ask("GET", "/whoami", headers=bearer(token))
    written = lines_of(caplog)
    assert ("token_refused", "audience") in [(one["event"], one.get("why")) for one in written]
    assert "canary" not in caplog.text + repr(written)
    assert not any(part in caplog.text for token in tokens for part in token.split(".")[1:])


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What the operator reads: the lines as they are written."""
    lines: list[dict[str, Any]] = [json.loads(JSONLines().format(one)) for one in caplog.records]
    return lines


def test_the_operator_reads_why_a_sign_in_was_refused(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert ask("GET", "/sign-in/callback?state=canary&code=canary").status_code == 400
    written = lines_of(caplog)
    assert ("sign_in_refused", "state") in [(one["event"], one.get("why")) for one in written]
    assert "canary" not in repr(written)


def test_the_operator_reads_whose_keys_were_not_fetched_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def nowhere() -> str:
        return "http://canary.example/keys"

    assert asyncio.run(PublishedKeys("issuer[0]", nowhere).matching("k", "ES256")) is None
    (line,) = [one for one in lines_of(caplog) if one["event"] == "keys_not_fetched"]
    assert line["listed"] == "issuer[0]"
    assert line["reason"] == "a URL that is neither https nor on this machine"


def test_a_word_that_is_not_of_the_list_is_not_logged() -> None:
    with pytest.raises(ValueError, match="not of its list") as caught:
        word_of(Why, "Canary")
    assert "Canary" not in str(caught.value)


def test_a_system_gets_a_token_and_is_let_in_with_it(ask: Ask, installation: Installation) -> None:
    answer = ask("POST", "/oauth/token", data=installation.proof())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"access_token", "token_type", "expires_in", "scope"}
    who = ask("GET", "/whoami", headers=bearer(answer.json()["access_token"]))
    assert who.json()["subject"] == "night-batch"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_request"),
        (b"grant_type=client_credentials", "invalid_client"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"grant_type=password&username=canary", "unsupported_grant_type"),
        (b"grant_type=%ff", "invalid_request"),
        (b"\xff=1", "invalid_request"),
        (b"&".join(b"a%d=1" % number for number in range(40)), "invalid_request"),
    ],
)
def test_a_refusal_has_the_form_that_oauth_gives_it(ask: Ask, body: bytes, code: str) -> None:
    answer = ask("POST", "/oauth/token", content=body, headers=FORM)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": code}


def test_a_form_is_small_and_is_a_form(ask: Ask) -> None:
    assert ask("POST", "/oauth/token", content=b"a" * 40_000, headers=FORM).status_code == 413
    assert ask("POST", "/oauth/token", json={}).status_code == 415


def test_the_service_says_where_its_keys_and_tokens_are(ask: Ask) -> None:
    described = ask("GET", "/.well-known/smart-configuration").json()
    assert described["token_endpoint"] == f"{OWN}/oauth/token"
    assert described["grant_types_supported"] == ["client_credentials"]
    assert described["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "system/RiskAssessment.crs" in described["scopes_supported"]
    keys = ask("GET", described["jwks_uri"].removeprefix(OWN)).json()["keys"]
    assert [(one["kty"], one["alg"], one["use"]) for one in keys] == [("EC", "ES384", "sig")]
    assert all(one.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"} for one in keys)


def test_the_service_starts_while_the_issuer_is_away_and_finds_it_later(tmp_path: Path) -> None:
    with openid_provider() as provider:
        installed = Installation(tmp_path, provider, new_key("ES384"))
        provider.stop()
        token = provider.token()
        with asking(Settings(**installed.settings), OWN) as running:
            assert running("GET", "/whoami", headers=bearer(token)).status_code == 401
            assert running("GET", "/healthz").status_code == 200
            answer = running("POST", "/oauth/token", data=installed.proof())
            assert answer.status_code == 200


# Two processes on one database.


@contextmanager
def worker(installation: Installation, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that serves the same installation."""
    environment = os.environ | {
        **{f"READMIT_{name.upper()}": str(of) for name, of in installation.settings.items()},
        "READMIT_PUBLIC_URL": OWN,
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "fixtures")]
        ),
    }
    program = [sys.executable, "-m", "uvicorn", "--factory", "doors:whoami_app"]
    process = subprocess.Popen(
        [*program, "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def awaited(port: int, process: subprocess.Popen[bytes]) -> str:
    """The address of a worker, once it answers."""
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "the worker ended before it answered"
        try:
            httpx.get(f"{url}/healthz")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return url
    raise AssertionError("the worker did not answer within a minute")


def statuses(urls: list[str], token: str) -> list[int]:
    return [httpx.get(f"{url}/whoami", headers=bearer(token)).status_code for url in urls]


@pytest.mark.slow
def test_what_one_worker_has_seen_the_others_know_and_so_do_those_after_a_restart(
    tmp_path: Path,
) -> None:
    with openid_provider() as provider, ExitStack() as later:
        installed = Installation(tmp_path, provider, new_key("ES384"))
        used, proof, ports = provider.token(), installed.proof(), [free_port(), free_port()]
        with worker(installed, ports[0]) as one, worker(installed, ports[1]) as two:
            first, second = awaited(ports[0], one), awaited(ports[1], two)
            # A person's token that may be used once, and a system's proof of who it is.
            assert statuses([first, second, first], used) == [200, 401, 401]
            with ThreadPoolExecutor(8) as callers:
                tokens = [f"{url}/oauth/token" for url in (first, second) * 4]
                answers = list(callers.map(lambda url: httpx.post(url, data=proof), tokens))
            assert sorted(one.status_code for one in answers) == [200, *[400] * 7]
            issued = next(one for one in answers if one.status_code == 200)
            for url in (first, second):
                again = httpx.post(f"{url}/oauth/token", data=proof)
                assert (again.status_code, again.json()) == (400, {"error": "invalid_client"})
            # What one of them has signed, the other accepts: they share the key.
            system = issued.json()["access_token"]
            assert statuses([first, second], system) == [200, 200]
            keys = [httpx.get(f"{url}/oauth/jwks").json() for url in (first, second)]
            assert keys[0] == keys[1]
        port = free_port()
        restarted = awaited(port, later.enter_context(worker(installed, port)))
        assert statuses([restarted], used) == [401]
        assert httpx.post(f"{restarted}/oauth/token", data=proof).status_code == 400
        assert statuses([restarted], system) == [200]
        assert statuses([restarted], provider.token()) == [200]
        assert json.loads(httpx.get(f"{restarted}/oauth/jwks").content) == keys[0]
        settings = Settings(**installed.settings)
        database = Database(settings.database)
        checked = verify(
            database, read_keys(installed.folder / "keys"), anchor_of(settings, database)
        )
        database.close()
        assert checked.finding is None
        assert checked.entries == 4, "three starts and one token"
