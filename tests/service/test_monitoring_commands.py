"""``monitor`` and ``transparency`` as a scheduler and a person call them, on simulated records."""

import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from fhir_mappings.errors import StudyError
from service.commands.monitoring import ALERTS, monitor, transparency

app = typer.Typer()
for command in (monitor, transparency):
    app.command()(command)


@pytest.fixture
def call(hospital, tmp_path, monkeypatch):
    """A command on the simulated hospital, with reports and issues in a folder of its own."""
    monkeypatch.setenv("READMIT_STORE", str(hospital.store))
    monkeypatch.setenv("READMIT_MLRUNS", str(hospital.mlruns))

    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments)])

    return run


@pytest.fixture
def thresholds(tmp_path):
    def write(text):
        path = tmp_path / "study.toml"
        path.write_text(f"[evaluation]\nresamples = 20\n[monitoring]\n{text}\n")
        return path

    return write


def test_a_quiet_period_leaves_the_exit_code_at_0_and_a_report(call, thresholds, tmp_path):
    study = thresholds("psi_warn = 5.0\npsi_alert = 9.0\nslope = [0.0, 9.0]\nintercept = 9.0")
    done = call("monitor", "--json", "--all", "--study", study, "--out", tmp_path / "kept")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["enough"]
    assert [alert for alert in answer["alerts"] if alert["level"] == "alert"] == []
    assert sorted(path.suffix for path in (tmp_path / "kept").iterdir()) == [".json", ".svg"]
    assert "default records" in (tmp_path / "kept" / "trend.svg").read_text()


def test_an_alert_is_an_exit_code_of_its_own_for_a_scheduler(call, thresholds, tmp_path):
    study = thresholds("slope = [8.0, 9.0]")
    done = call("monitor", "--all", "--study", study, "--out", tmp_path / "kept")
    assert done.exit_code == ALERTS == 10
    assert "The calibration slope is" in done.output
    assert "estimated for all stays" in done.output
    assert "Model readmit version 1" in done.output


def test_too_few_stays_are_said_and_are_no_alert(call, tmp_path):
    done = call("monitor", "--since", "2024-12-30", "--out", tmp_path / "kept")
    assert done.exit_code == 0
    assert "Too few stays to say anything." in done.output
    assert not (tmp_path / "kept" / "trend.svg").exists()


def test_the_public_reads_what_was_last_kept(call, hospital, thresholds, tmp_path):
    kept = tmp_path / "mlruns" / "monitoring"
    call("monitor", "--all", "--study", thresholds("fewest_stays = 50"), "--out", kept)
    done = call(
        "transparency", "--mlruns", tmp_path / "mlruns", "--out", tmp_path / "public", "--json"
    )
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    cells = [cell["at_least"] for table in answer["tables"] for cell in table["cells"]]
    assert cells
    assert all(count % 11 == 0 for count in cells)
    (page,) = (tmp_path / "public").glob("*.html")
    assert "readmit version 1" in page.read_text()
    shutil.rmtree(tmp_path / "public")
    (report,) = kept.glob("*.json")
    told = call("transparency", "--report", report, "--out", tmp_path / "public")
    assert told.exit_code == 0
    assert "Stays scored, by band" in told.output


def test_without_a_kept_report_there_is_nothing_to_publish(call, tmp_path):
    done = call("transparency", "--mlruns", tmp_path, "--out", tmp_path / "public")
    assert isinstance(done.exception, StudyError)
    assert "run readmit monitor first" in str(done.exception)
