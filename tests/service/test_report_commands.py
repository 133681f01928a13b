"""`readmit report` and `readmit card`, on a simulated run where MLflow would have put it."""

import json
from pathlib import Path

import pytest
import typer
from simulated_run import Made
from typer.testing import CliRunner

from fhir_mappings.errors import RiskModelError, StudyError
from service.commands import reports
from training.risk_model import Champion, load_risk_model, write_champion

RUN = "ab" * 16


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home") / "mlruns"
    folder = home / "artifacts" / RUN / "artifacts"
    Made().write(folder, ["plots"])
    model = load_risk_model(folder / "model")
    note = Champion(
        name="readmit",
        version="1",
        run_id=RUN,
        folder=f"artifacts/{RUN}/artifacts/model",
        manifest_sha256=model.fingerprint,
    )
    write_champion(home, note)
    return home


@pytest.fixture
def invoke(mlruns):
    app = typer.Typer()
    app.command()(reports.report)
    app.command()(reports.card)

    def run(*arguments: str) -> str:
        command, *rest = arguments
        finished = CliRunner().invoke(
            app, [command, *rest, "--mlruns", str(mlruns)], catch_exceptions=False
        )
        assert finished.exit_code == 0, finished.output
        return finished.output

    return run


def test_the_report_is_of_the_model_in_use_unless_another_is_named(invoke, tmp_path):
    for out, named in (("used.html", []), ("named.html", [RUN])):
        said = invoke("report", *named, "--out", str(tmp_path / "new" / out))
        assert out in said.replace("\n", "")
    used, named = ((tmp_path / "new" / name).read_text() for name in ("used.html", "named.html"))
    assert used == named
    assert "<h1>" in used


@pytest.mark.parametrize(
    ("form", "begins"), [("html", "<!DOCTYPE html>"), ("md", "# Model card"), ("json", "{")]
)
def test_the_card_comes_in_three_forms(invoke, tmp_path, form, begins):
    out = tmp_path / f"card.{form}"
    said = invoke("card", "--format", form, "--out", str(out))
    assert out.read_text(encoding="utf-8").startswith(begins)
    assert "questions have no answer yet" in said


def test_the_card_takes_what_people_wrote(invoke, tmp_path):
    facts = tmp_path / "model-card.toml"
    facts.write_text('[use]\nintended_use = "To plan follow-up calls."', encoding="utf-8")
    out = tmp_path / "card.json"
    invoke("card", RUN, "--facts", str(facts), "--format", "json", "--out", str(out))
    card = json.loads(out.read_bytes())
    assert card["hti1"][4]["answer"] == ["To plan follow-up calls."]
    with pytest.raises(StudyError, match=r"model-card\.toml"):
        invoke("card", "--facts", str(tmp_path / "nowhere" / "model-card.toml"))


@pytest.mark.parametrize("named", ["cd" * 16, "../../../etc", "x"])
def test_a_run_that_is_not_there_is_one_sentence(invoke, named):
    with pytest.raises(RiskModelError, match="there is no run"):
        invoke("report", named)


def test_without_a_model_in_use_there_is_nothing_to_report(tmp_path):
    with pytest.raises(RiskModelError, match="no model is in use"):
        reports.report(mlruns=tmp_path, out=tmp_path / "report.html")
