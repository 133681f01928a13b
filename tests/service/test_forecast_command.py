"""``forecast`` as a planner and a script call it, on simulated records, without a database."""

import json

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from fhir_mappings.errors import RiskModelError
from service.commands.planning import forecast

app = typer.Typer()
app.command()(forecast)


@pytest.fixture
def call(hospital, monkeypatch):
    monkeypatch.setenv("READMIT_STORE", str(hospital.store))
    monkeypatch.setenv("READMIT_MLRUNS", str(hospital.mlruns))
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


def test_where_fewer_than_eleven_are_at_home_a_script_is_told_so_and_gets_no_figure(call):
    done = call("--json", "--weeks", 3)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["overdispersion"] >= 1
    assert answer["weeks"] == []
    assert answer["hidden"]


def test_a_planner_reads_who_is_in_the_figures_and_who_is_not(call):
    done = call()
    assert done.exit_code == 0, done.output
    assert "Expected readmissions by the unit" in done.output
    assert "patients in hospital are among them" in " ".join(done.output.split())


def test_a_model_that_does_not_know_when_readmissions_happen_makes_no_forecast(
    call, hospital, tmp_path
):
    """A model of a version before the curve was kept: the same files without it."""
    import hashlib
    import shutil

    from training.risk_model import champion, read_champion

    assert champion(hospital.mlruns).reference.returns is not None
    folder = hospital.mlruns / read_champion(hospital.mlruns).folder
    shutil.copytree(folder, tmp_path / "model")
    reference = tmp_path / "model" / "reference.json"
    content = msgspec.json.decode(reference.read_bytes()) | {"returns": None}
    reference.write_bytes(msgspec.json.encode(content))
    manifest = tmp_path / "model" / "manifest.json"
    listed = msgspec.json.decode(manifest.read_bytes())
    listed["files"]["reference.json"] = hashlib.sha256(reference.read_bytes()).hexdigest()
    manifest.write_bytes(msgspec.json.encode(listed))
    done = call("--model", tmp_path / "model")
    assert isinstance(done.exception, RiskModelError)
    assert "does not say when readmissions happen" in str(done.exception)
