"""A code goes to the token endpoint that the EHR named, and nowhere else, however it answers."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest
from openid_provider import openid_provider

from service.fhir_servers import forms
from service.fhir_servers.forms import post_form
from service.identity.fetching import LARGEST_ANSWER, FetchError

LOOPBACK = "127.0.0.1"


class Endpoint(ThreadingHTTPServer):
    """Answers every form alike."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.status = 200
        self.content = b"{}"
        self.location = ""
        self.delay = 0.0
        self.posted: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/token"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.headers["Host"], body))
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whoever hung up
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def post(url: str, *vouched: str) -> bytes:
    async def run() -> bytes:
        return await post_form(url, {"code": "canary"}, vouched=vouched)

    return anyio.run(run)


def test_a_form_is_posted_and_its_answer_given(endpoint: Endpoint) -> None:
    endpoint.content = b'{"a": 1}'
    assert post(endpoint.url, LOOPBACK) == b'{"a": 1}'
    assert endpoint.posted == [(f"{LOOPBACK}:{endpoint.server_port}", b"code=canary")]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/token",  # nobody vouched for it
        "https://10.0.0.1/token",
        "https://169.254.169.254/token",
        "http://elsewhere.example/token",
        "https://user@elsewhere.example/token",
        "https://elsewhere.example/token?x=1",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_endpoint_inside_is_posted_to(endpoint: Endpoint, url: str) -> None:
    with pytest.raises(FetchError, match="may not be asked") as refused:
        post(url.replace("{port}", str(endpoint.server_port)))
    assert "elsewhere" not in str(refused.value)
    assert endpoint.posted == []


def test_a_redirect_is_not_followed(endpoint: Endpoint) -> None:
    with openid_provider() as elsewhere:
        endpoint.status, endpoint.location = 307, f"{elsewhere.issuer}/token"
        with pytest.raises(FetchError, match="307") as refused:
            post(endpoint.url, LOOPBACK)
        assert refused.value.answered == 307
        assert not elsewhere.requests


def test_an_answer_that_is_too_large_is_given_up(endpoint: Endpoint) -> None:
    endpoint.content = b" " * (LARGEST_ANSWER + 1)
    with pytest.raises(FetchError, match="too large"):
        post(endpoint.url, LOOPBACK)


def test_an_endpoint_that_takes_too_long_is_not_waited_for(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "WITHIN_SECONDS", 0.1)
    endpoint.delay = 0.5
    with pytest.raises(FetchError, match="no answer"):
        post(endpoint.url, LOOPBACK)


def test_a_refusal_keeps_its_status_and_quotes_nothing(endpoint: Endpoint) -> None:
    endpoint.status, endpoint.content = 400, b'{"error": "canary"}'
    with pytest.raises(FetchError) as refused:
        post(endpoint.url, LOOPBACK)
    assert refused.value.answered == 400
    assert "canary" not in str(refused.value)
