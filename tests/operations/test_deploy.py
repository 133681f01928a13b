"""What an operator copies: units that systemd takes, and a container file without secrets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main

from service.cli import app
from service.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("readmit*.service"))


def entries(unit: Path) -> list[tuple[str, str]]:
    lines = [line for line in unit.read_text().splitlines() if re.match(r"[A-Za-z]+=", line)]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def commands() -> list[list[str]]:
    started = [value for unit in UNITS for name, value in entries(unit) if name == "ExecStart"]
    return [re.findall(r"bin/readmit ([a-z]+(?: [a-z]+)?)", line)[0].split() for line in started]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_that_a_unit_starts_exists(words: list[str]) -> None:
    known = typer.main.get_command(app)
    for word in words:
        assert word in known.commands, word  # type: ignore[attr-defined]  # a click.Group
        known = known.commands[word]  # type: ignore[attr-defined]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_names_settings_that_exist_and_gains_no_privileges(unit: Path) -> None:
    said = entries(unit)
    for name in re.findall(r"READMIT_([A-Z_]+)=", unit.read_text()):
        assert name.lower() in Settings.model_fields
    for needed in (
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
        ("User", "readmit"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
    ):
        assert needed in said


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("readmit*.*")), ids=lambda unit: unit.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    for other in DEPLOY.glob("readmit*.*"):
        text = other.read_text()
        # The program is not installed on this machine; what systemd thinks of the rest counts.
        (tmp_path / other.name).write_text(
            text.replace("/opt/readmit/.venv/bin/readmit", "/bin/true")
        )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_container_runs_as_nobody_with_pinned_packages_and_no_secret() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    last = text[text.rindex("FROM ") :]
    assert re.search(r"^USER readmit$", last, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in text
    assert "HEALTHCHECK" in last
    assert not re.search(r"://(?!127\.0\.0\.1)|READMIT_KEYS|PASSWORD|SECRET", text)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
