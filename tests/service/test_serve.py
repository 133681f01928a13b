"""Running the service: who may reach it, over what, and that nothing starts that is amiss."""

import asyncio
import datetime
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from fhir_mappings.errors import ReadmitError, RiskModelError, SiteProfileError
from service import serve as serving
from service.protection.keys import KeysError
from service.serve import serve, server_config
from service.settings import Settings, SettingsError, load_settings
from service.surroundings import protocol
from service.surroundings.exposure import Exposure, exposure_of


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sockets that were served on, in place of serving."""
    served: list[Any] = []

    async def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        served.append(sockets[0].getsockname())

    monkeypatch.setattr(uvicorn.Server, "serve", run)
    monkeypatch.setattr(serving.logs, "configure", lambda: None)
    reference = SimpleNamespace(profile="default")
    model = SimpleNamespace(reference=reference, name="m", version="1", fingerprint="0" * 64)
    monkeypatch.setattr(serving, "load_model", lambda settings: model)
    return served


@pytest.fixture
def development(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of development mode, on a free port."""

    def made(**settings: Any) -> Settings:
        database = f"sqlite:///{tmp_path / 'readmit.db'}"
        return Settings(**{"development": True, "database": database, "port": 0, **settings})

    return made


def normal(**settings: Any) -> Settings:
    return Settings(**{"issuers": Path("issuers.toml"), **settings})


# Who may reach it


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "",
        "192.168.1.7",
        "10.0.0.1",
        "127.0.0.2",
        "2130706433",
        "::ffff:127.0.0.1",
        "hospital.example",
        "localhost.hospital.example",
    ],
)
def test_in_development_mode_no_address_that_others_can_reach_is_listened_on(
    host: str, started: list[Any], development: Callable[..., Settings]
) -> None:
    with pytest.raises(SettingsError, match="READMIT_HOST"):
        serve(development(host=host, tls_ends_at_proxy=True))
    assert started == []


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "127.0.0.1")],
)
def test_this_machines_own_addresses_are_listened_on(
    host: str, address: str, started: list[Any], development: Callable[..., Settings]
) -> None:
    serve(development(host=host))
    assert started[0][0] == address


def test_without_issuers_nothing_is_started_and_both_ways_out_are_named(
    started: list[Any],
) -> None:
    with pytest.raises(SettingsError, match=r"READMIT_ISSUERS.*--development"):
        serve(Settings())
    assert started == []


def test_development_mode_is_announced_where_nobody_can_miss_it(
    started: list[Any],
    development: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(development())
    told = capsys.readouterr().err
    assert "DEVELOPMENT MODE" in told
    assert "NEVER FOR REAL PATIENTS" in told


def test_development_mode_trusts_no_proxy(development: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="READMIT_TRUSTED_PROXIES"):
        exposure_of(development(trusted_proxies=("10.0.0.1",)))


def test_others_are_served_over_tls_alone(tmp_path: Path) -> None:
    name = {"public_url": "https://readmit.example"}
    with pytest.raises(SettingsError, match="unencrypted"):
        exposure_of(normal(host="0.0.0.0", **name))
    assert exposure_of(normal(host="0.0.0.0", tls_ends_at_proxy=True, **name)).address == "0.0.0.0"
    certificate, key = certificate_and_key(tmp_path)
    exposure = exposure_of(
        normal(host="10.0.0.1", tls_certificate=certificate, tls_key=key, **name)
    )
    assert exposure == Exposure("10.0.0.1", certificate, key)
    assert not exposure.loopback


def test_on_this_machine_alone_tls_is_not_asked_for() -> None:
    assert exposure_of(normal()).loopback


def test_a_service_for_others_must_know_its_name() -> None:
    with pytest.raises(SettingsError, match="READMIT_PUBLIC_URL"):
        exposure_of(normal(host="0.0.0.0", tls_ends_at_proxy=True))
    with pytest.raises(ValueError, match="public_url"):
        normal(public_url="readmit")
    named = normal(host="0.0.0.0", tls_ends_at_proxy=True, allowed_hosts=("readmit.example",))
    assert exposure_of(named).address == "0.0.0.0"


def test_half_of_a_certificate_is_refused(tmp_path: Path) -> None:
    certificate, _ = certificate_and_key(tmp_path)
    with pytest.raises(SettingsError, match="one needs the other"):
        exposure_of(normal(tls_certificate=certificate))
    with pytest.raises(SettingsError, match="READMIT_TLS_KEY: there is no such file"):
        exposure_of(normal(tls_certificate=certificate, tls_key=tmp_path / "absent.pem"))


def test_what_is_no_certificate_is_refused_and_not_quoted(tmp_path: Path) -> None:
    wrong = tmp_path / "canary.pem"
    wrong.write_text("canary-secret")
    with pytest.raises(SettingsError, match="READMIT_TLS_CERTIFICATE") as caught:
        server_config(FastAPI(), Exposure("127.0.0.1", wrong, wrong))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://canary.example/path"),
        ("CORS_ORIGINS", "http://canary.example"),
        ("CORS_ORIGINS", "https://*.canary.example"),
        ("CORS_ORIGINS", "null"),
        ("TRUSTED_PROXIES", "canary.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/24"),
        ("ALLOWED_HOSTS", "https://canary.example"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "canary.example:8000"),
    ],
)
def test_what_would_let_too_many_in_is_named_and_not_quoted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"READMIT_{name}", value)
    with pytest.raises(SettingsError, match=f"READMIT_{name}") as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_lists_are_written_with_commas_or_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READMIT_CORS_ORIGINS", "https://a.example, https://B.example:8443")
    monkeypatch.setenv("READMIT_TRUSTED_PROXIES", "10.0.0.1 fd00::/8")
    monkeypatch.setenv("READMIT_ALLOWED_HOSTS", "")
    settings = load_settings()
    assert settings.cors_origins == ("https://a.example", "https://b.example:8443")
    assert settings.trusted_proxies == ("10.0.0.1", "fd00::/8")
    assert settings.allowed_hosts == ()


# What must be there before anything starts


def test_without_a_model_nothing_is_started(
    started: list[Any],
    development: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_model(settings: Settings) -> object:
        raise RiskModelError("no champion is registered")

    monkeypatch.setattr(serving, "load_model", no_model)
    with pytest.raises(RiskModelError, match="no champion"):
        serve(development())
    assert started == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"profile": "elsewhere"}, SiteProfileError),
        ({"key_file": Path("absent.keys")}, KeysError),
    ],
)
def test_with_a_file_that_is_absent_nothing_is_started(
    changes: dict[str, Any],
    error: type[ReadmitError],
    started: list[Any],
    development: Callable[..., Settings],
) -> None:
    with pytest.raises(error):
        serve(development(**changes))
    assert started == []


def test_a_port_that_is_taken_is_said_in_our_words(
    started: list[Any], development: Callable[..., Settings]
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingsError, match="READMIT_PORT: cannot listen"),
    ):
        serve(development(port=taken.getsockname()[1]))
    assert started == []


def test_the_server_believes_no_proxy_and_writes_no_access_log_of_its_own() -> None:
    config = server_config(FastAPI(), Exposure("127.0.0.1", None, None))
    assert config.access_log is False
    assert config.proxy_headers is False
    assert config.server_header is False


# On the wire


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['method']} {len(body)}")(scope, receive, send)


@contextmanager
def on_the_wire(exposure: Exposure) -> Iterator[int]:
    """A server with our configuration in another thread; its port."""
    config = server_config(_echo, exposure)  # type: ignore[arg-type]  # any ASGI app will do
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with on_the_wire(Exposure("127.0.0.1", None, None)) as port:
        yield port


def answer_to(port: int, *parts: bytes) -> bytes:
    """What the server says until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:
            pass  # closed before everything was sent
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass  # what was sent after the refusal was never read
        return received


END = b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n"


def test_a_head_without_end_is_refused(port: int) -> None:
    line = b"X-Long: " + b"a" * 1_000 + b"\r\n"
    assert answer_to(port, b"GET / HTTP/1.1\r\n", *[line] * 81).startswith(b"HTTP/1.1 431 ")
    one = b"GET / HTTP/1.1\r\nX-Long: "
    assert answer_to(port, one, *[b"a" * 1_000] * 81).startswith(b"HTTP/1.1 431 ")
    assert answer_to(port, b"GET /", *[b"a" * 1_000] * 81).startswith(b"HTTP/1.1 431 ")


def test_the_second_head_of_a_connection_has_an_end_too(port: int) -> None:
    first = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    received = answer_to(port, first, b"GET /", *[b"a" * 1_000] * 81)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 431 " in received


def test_a_body_is_not_taken_for_a_head(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 500000\r\n" + END
    assert answer_to(port, head + b"a" * 500_000).endswith(b"POST 500000")


def test_a_head_that_takes_too_long_gives_up_its_place(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN_SECONDS", 0.05)
    assert answer_to(port, b"GET / HTTP/1.1\r\n") == b""
    assert answer_to(port) == b""


def certificate_and_key(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


def test_tls_of_today_is_spoken_and_none_of_the_past(tmp_path: Path) -> None:
    certificate, key = certificate_and_key(tmp_path)
    with ExitStack() as stack:
        port = stack.enter_context(on_the_wire(Exposure("127.0.0.1", certificate, key)))

        def version(minimum: ssl.TLSVersion, maximum: ssl.TLSVersion) -> str | None:
            context = ssl.create_default_context(cafile=str(certificate))
            context.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns() if maximum < ssl.TLSVersion.TLSv1_2 else ExitStack():
                context.minimum_version, context.maximum_version = minimum, maximum
            with (
                socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secured,
            ):
                return secured.version()

        assert version(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert version(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            version(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)


# What the whole process writes


WHOLE = """
import sys, threading, logging, warnings, urllib.request, socket
sys.path[:0] = ["tests/api", "tests/fixtures"]
from conftest import LinearModel
from service import serve as serving
from service.settings import Settings
import uvicorn

serving.load_model = lambda settings: LinearModel()
logging.getLogger("noisy").addHandler(logging.StreamHandler(sys.stdout))
serve_once = uvicorn.Server.serve

async def serve(self, sockets):
    port = sockets[0].getsockname()[1]
    def visit():
        for request in (
            b"GET /Patient/Canarina?name=Canarina HTTP/1.1\\r\\n"
            b"Host: localhost\\r\\nConnection: close\\r\\n\\r\\n",
            b"Canarina\\r\\n\\r\\n",
        ):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(request)
                while connection.recv(65536):
                    pass
        logging.getLogger("noisy").warning("patient %s", "Canarina")
        logging.getLogger("noisy").error("too few %s %s", "Canarina")
        logging.getLogger("readmit.careless").error("Canarina")
        warnings.warn("Canarina")
        self.should_exit = True
        raise KeyError("Canarina")
    threading.Thread(target=visit).start()
    await serve_once(self, sockets)

uvicorn.Server.serve = serve
serving.serve(Settings(development=True, port=0, database=sys.argv[1]))
"""


def test_nothing_that_any_library_says_of_a_patient_is_written(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "always", "-c", WHOLE, f"sqlite:///{tmp_path / 'readmit.db'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "Canarina" not in finished.stdout + finished.stderr
    lines = [json.loads(line) for line in finished.stderr.splitlines() if line.startswith("{")]
    others = [line for line in finished.stderr.splitlines() if not line.startswith("{")]
    assert all(line == "" or line.startswith("##") for line in others)
    events = [line["event"] for line in lines]
    assert [one for one in events if one != "library"] == [
        "development_mode",
        "serving",
        "request",
        "incident",
        "stopped",
    ]
    loggers = {line["logger"] for line in lines if line["event"] == "library"}
    assert {"noisy", "readmit.careless", "py.warnings", "uvicorn.error"} <= loggers
    serving = lines[events.index("serving")]
    assert serving["address"] == "127.0.0.1"
    assert serving["port"] > 0
    noisy = [line for line in lines if line["logger"] == "noisy"]
    assert [line["level"] for line in noisy] == ["warning", "error"]
    assert noisy[0].keys() == {"time", "level", "logger", "event", "where"}


def test_configuring_the_log_is_left_to_whoever_runs_the_service() -> None:
    """Importing it must not: tests and notebooks have handlers of their own."""
    assert not any(type(one).__name__ == "StandardError" for one in logging.getLogger().handlers)
