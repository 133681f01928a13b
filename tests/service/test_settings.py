"""What an operator sets."""

from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, load_settings


def test_defaults_keep_the_service_on_this_machine() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.body_limit == 20_000_000


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READMIT_MLRUNS", "/srv/mlruns")
    monkeypatch.setenv("READMIT_MAX_REASONS", "3")
    settings = load_settings()
    assert settings.mlruns == Path("/srv/mlruns")
    assert settings.max_reasons == 3


def test_a_malformed_variable_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READMIT_PORT", "canary-secret")
    with pytest.raises(SettingsError, match="READMIT_PORT") as caught:
        load_settings()
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_settings_cannot_change_under_a_running_service() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 9  # type: ignore[misc]  # the point of the test
