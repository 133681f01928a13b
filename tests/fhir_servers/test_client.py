"""Asking an EHR's server, played by a small one on loopback that counts who comes."""

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.fhir_servers import client
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import Breaker, FHIRServer

LOOPBACK = "127.0.0.1"
Answer = tuple[int, dict[str, str], bytes]


class EHR(ThreadingHTTPServer):
    """A FHIR server of a few fixed answers, by path and query."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.written: list[bytes] = []

    @property
    def base(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/fhir"

    def give(self, path: str, content: Any, status: int = 200, **headers: str) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = {"Content-Type": "application/fhir+json; charset=utf-8"}
        self.answers[f"/fhir/{path}"] = (status, {**kind, **headers}, raw)


class Handler(BaseHTTPRequestHandler):
    server: EHR

    def do_PUT(self) -> None:
        self.server.written.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, content = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def started() -> Iterator[EHR]:
    server = EHR()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ehr() -> Iterator[EHR]:
    yield from started()


@pytest.fixture
def elsewhere() -> Iterator[EHR]:
    yield from started()


def ask(base: str, work: Callable[[FHIRServer], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        server = FHIRServer(base, "secret-token", **{"vouched": [LOOPBACK], **options})
        try:
            return await work(server)
        finally:
            await server.close()

    return anyio.run(run)


def page(number: int, following: str | None) -> dict[str, Any]:
    links = [] if following is None else [{"relation": "next", "url": following}]
    return {"resourceType": "Bundle", "type": "searchset", "id": str(number), "link": links}


def test_a_resource_is_read_with_the_token_that_the_ehr_gave(ehr: EHR) -> None:
    ehr.give("Patient/1", {"resourceType": "Patient", "id": "1"})
    content = ask(ehr.base, lambda server: server.read("Patient/1"))
    assert json.loads(content)["id"] == "1"
    ((_, headers),) = ehr.asked
    assert headers["Authorization"] == "Bearer secret-token"
    assert headers["Accept"] == "application/fhir+json"


def test_a_resource_is_written_by_a_search_and_with_what_it_is_sent_as(ehr: EHR) -> None:
    ehr.give("Flag?identifier=a%7Cb", b"", status=201)
    ask(ehr.base, lambda server: server.update("Flag?identifier=a%7Cb", b'{"x":1}'))
    ((_, headers),) = ehr.asked
    assert headers["Content-Type"] == "application/fhir+json"
    assert headers["Prefer"] == "return=minimal"
    assert headers["Authorization"] == "Bearer secret-token"
    assert ehr.written == [b'{"x":1}']


@pytest.mark.parametrize("status", [302, 307, 412, 429, 503])
def test_a_resource_that_is_not_taken_is_told_with_its_status_and_follows_nobody(
    ehr: EHR, elsewhere: EHR, status: int
) -> None:
    lure = {"Location": f"{elsewhere.base}/Flag", "Retry-After": "7"}
    ehr.give("Flag?identifier=a%7Cb", {}, status=status, **lure)
    with pytest.raises(FHIRServerError) as refused:
        ask(ehr.base, lambda server: server.update("Flag?identifier=a%7Cb", b"{}"))
    assert (refused.value.answered, refused.value.retry_after) == (status, 7.0)
    assert elsewhere.asked == []


def test_a_resource_is_never_written_to_another_server(ehr: EHR, elsewhere: EHR) -> None:
    with pytest.raises(FHIRServerError):
        ask(ehr.base, lambda server: server.update(f"{elsewhere.base}/Flag", b"{}"))
    assert (ehr.asked, elsewhere.asked) == ([], [])


def test_all_pages_of_a_search_are_read_in_order(ehr: EHR) -> None:
    ehr.give("Observation?patient=1", page(1, f"{ehr.base}?_getpages=a&_offset=50"))
    ehr.answers["/fhir?_getpages=a&_offset=50"] = ehr.answers["/fhir/Observation?patient=1"]
    ehr.give("x", page(2, "Observation?patient=1&page=3"))
    ehr.answers["/fhir?_getpages=a&_offset=50"] = ehr.answers["/fhir/x"]
    ehr.give("Observation?patient=1&page=3", page(3, None))
    pages = ask(ehr.base, lambda server: server.search("Observation?patient=1"))
    assert [json.loads(one)["id"] for one in pages] == ["1", "2", "3"]


def test_a_page_on_another_server_is_not_fetched(ehr: EHR, elsewhere: EHR) -> None:
    for lure in (f"{elsewhere.base}/Observation", f"//{LOOPBACK}:{elsewhere.server_port}/x"):
        ehr.give("Observation?patient=1", page(1, lure))
        with pytest.raises(FHIRServerError, match="elsewhere"):
            ask(ehr.base, lambda server: server.search("Observation?patient=1"))
    assert elsewhere.asked == []


def test_a_redirect_is_not_followed(ehr: EHR, elsewhere: EHR) -> None:
    ehr.give("Patient/1", b"", status=307, Location=f"{elsewhere.base}/Patient/1")
    with pytest.raises(FHIRServerError, match="307"):
        ask(ehr.base, lambda server: server.read("Patient/1"))
    assert elsewhere.asked == []


def test_a_server_at_an_address_that_nobody_vouched_for_is_not_connected_to(ehr: EHR) -> None:
    ehr.give("Patient/1", {"resourceType": "Patient"})
    with pytest.raises(FHIRServerError, match="may not be asked"):
        ask(ehr.base, lambda server: server.read("Patient/1"), vouched=[])
    assert ehr.asked == []


@pytest.mark.parametrize("path", ["/etc", "//evil.example/x", "https://evil.example/x", "\\\\x"])
def test_nothing_outside_of_the_base_is_asked(ehr: EHR, path: str) -> None:
    with pytest.raises(FHIRServerError):
        ask(ehr.base, lambda server: server.read(path))
    assert ehr.asked == []


def test_a_search_without_end_is_given_up(ehr: EHR) -> None:
    ehr.give("Observation?patient=1", page(1, "Observation?patient=1"))
    with pytest.raises(FHIRServerError, match="does not end"):
        ask(ehr.base, lambda server: server.search("Observation?patient=1"))
    for number in range(client.PAGES_AT_MOST + 1):
        ehr.give(f"Observation?page={number}", page(number, f"Observation?page={number + 1}"))
    with pytest.raises(FHIRServerError, match="does not end"):
        ask(ehr.base, lambda server: server.search("Observation?page=0"))


def test_an_answer_that_is_too_large_is_given_up(ehr: EHR, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BYTES_AT_MOST", 10_000)
    ehr.give("Patient/1", b" " * 20_000)
    with pytest.raises(FHIRServerError, match="too large"):
        ask(ehr.base, lambda server: server.read("Patient/1"))


@pytest.mark.parametrize(
    ("status", "kind"), [(200, "text/html"), (404, "application/fhir+json"), (500, "text/plain")]
)
def test_what_is_not_fhir_is_no_answer(ehr: EHR, status: int, kind: str) -> None:
    ehr.give("Patient/1", b"<p>Patient Quillfeather</p>", status=status, **{"Content-Type": kind})
    with pytest.raises(FHIRServerError) as refused:
        ask(ehr.base, lambda server: server.read("Patient/1"))
    assert "Quillfeather" not in str(refused.value)


def test_a_server_that_fails_again_and_again_is_left_alone_for_a_while(ehr: EHR) -> None:
    breaker = Breaker()
    for _ in range(client.FAILURES_TO_OPEN):
        ehr.give("Patient/1", b"", status=503)
        with pytest.raises(FHIRServerError, match="503"):
            ask(ehr.base, lambda server: server.read("Patient/1"), breaker=breaker)
    with pytest.raises(FHIRServerError, match="lately"):
        ask(ehr.base, lambda server: server.read("Patient/1"), breaker=breaker)
    assert len(ehr.asked) == client.FAILURES_TO_OPEN
    breaker.failed("other", 0.0)
    assert breaker.closed("other", 1.0)


def test_an_open_breaker_lets_one_try_again_after_half_a_minute() -> None:
    breaker = Breaker()
    for _ in range(client.FAILURES_TO_OPEN):
        breaker.failed("ehr", 100.0)
    assert not breaker.closed("ehr", 129.0)
    assert breaker.closed("ehr", 130.0)
    breaker.answered("ehr")
    assert breaker.closed("ehr", 131.0)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate, made for this test."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.parametrize(("named", "fits"), [("ehr.example", True), ("evil.example", False)])
def test_at_a_pinned_address_the_certificate_must_still_be_the_servers(
    ehr: EHR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, fits: bool
) -> None:
    public, private = certificate(tmp_path, named)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    ehr.socket = context.wrap_socket(ehr.socket, server_side=True)
    ehr.give("Patient/1", {"resourceType": "Patient", "id": "1"})

    async def resolve(*_: Any) -> str:
        return str(ipaddress.ip_address(LOOPBACK))

    monkeypatch.setattr(client, "address_of", resolve)
    trust = ssl.create_default_context(cafile=str(public))
    base = f"https://ehr.example:{ehr.server_port}/fhir"
    if fits:
        assert b'"Patient"' in ask(base, lambda server: server.read("Patient/1"), trust=trust)
        ((_, headers),) = ehr.asked
        assert headers["Host"] == f"ehr.example:{ehr.server_port}"
    else:
        with pytest.raises(FHIRServerError, match="does not answer"):
            ask(base, lambda server: server.read("Patient/1"), trust=trust)
        assert ehr.asked == []
