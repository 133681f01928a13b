"""Running the service: on this machine alone, and only with a model."""

import logging.config
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from fhir_mappings.errors import RiskModelError, SiteProfileError
from service import serve as serving
from service.serve import LOGGING, serve
from service.settings import Settings, SettingsError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What uvicorn was started with, in place of starting it."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: calls.append(options))
    reference = SimpleNamespace(profile="default")
    monkeypatch.setattr(
        serving, "load_model", lambda settings: SimpleNamespace(reference=reference)
    )
    return calls


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
def test_no_address_that_others_can_reach_is_listened_on(
    host: str, started: list[dict[str, Any]]
) -> None:
    with pytest.raises(SettingsError, match="READMIT_HOST"):
        serve(Settings(host=host))
    assert started == []


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "127.0.0.1")],
)
def test_this_machines_own_addresses_are_listened_on(
    host: str, address: str, started: list[dict[str, Any]]
) -> None:
    serve(Settings(host=host, port=8123))
    (options,) = started
    assert (options["host"], options["port"]) == (address, 8123)


def test_the_servers_own_access_log_is_off_because_it_writes_query_strings(
    started: list[dict[str, Any]],
) -> None:
    serve(Settings())
    (options,) = started
    assert options["access_log"] is False
    assert options["proxy_headers"] is False


def test_without_a_model_nothing_is_started(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model(settings: Settings) -> object:
        raise RiskModelError("no champion is registered")

    monkeypatch.setattr(serving, "load_model", no_model)
    with pytest.raises(RiskModelError, match="no champion"):
        serve(Settings())
    assert started == []


def test_with_an_unknown_profile_nothing_is_started(started: list[dict[str, Any]]) -> None:
    with pytest.raises(SiteProfileError):
        serve(Settings(profile="elsewhere"))
    assert started == []


def test_the_logging_configuration_is_valid() -> None:
    assert logging.config.DictConfigurator(LOGGING).config["version"] == 1
