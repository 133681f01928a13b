"""A risk model is tried in a process of its own before it is served."""

import os
from pathlib import Path

import pytest

from fhir_mappings.errors import RiskModelError
from service import model_trial
from service.model_trial import trial


def child(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have this program run in the trial's place."""
    monkeypatch.setattr(model_trial, "TRIAL", ("-c", program))


def test_a_crash_of_the_child_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(RiskModelError, match="ended by SIGSEGV"):
        trial([], 30)


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = tmp_path / "pid"
    child(
        monkeypatch,
        f"import os, pathlib, time; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); "
        "time.sleep(600)",
    )
    with pytest.raises(RiskModelError, match="did not end within 2 s"):
        trial([], 2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


@pytest.mark.parametrize("program", ["", "raise SystemExit(3)", "print('{}')", "print('canary')"])
def test_a_child_that_says_nothing_sensible_is_believed_nothing(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    child(monkeypatch, program)
    with pytest.raises(RiskModelError, match="trial failed") as caught:
        trial([], 30)
    assert "canary" not in str(caught.value)


def test_the_child_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READMIT_KEYS", "canary")
    program = (
        "import json, os; print(json.dumps({'folder': '', 'version': '', 'run_id': None, "
        "'manifest_sha256': '', 'refusal': ' '.join(k for k in os.environ if 'READMIT' in k) "
        "or 'none'}))"
    )
    child(monkeypatch, program)
    with pytest.raises(RiskModelError, match=r"^none$"):
        trial([], 30)
