"""A whole training run in a folder of its own: model, record, registry, champion."""

import json
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fhir_mappings.errors import RiskModelError
from training.findings import FILES
from training.report import plots
from training.risk_model import champion, load_risk_model, read_champion
from training.study import EvaluationRules, Study
from training.train import TrainingResult, train

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


STUDY = Study(
    evaluation=EvaluationRules(resamples=50, stability_refits=2, learning_shares=(0.5, 1.0))
)
PHASES = [
    "split",
    "fit",
    "calibrate",
    "evaluate",
    "subgroups",
    "explain",
    "learning curve",
    "report",
    "log",
]


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory):
    return tmp_path_factory.mktemp("study") / "mlruns"


@pytest.fixture(scope="module")
def results(mlruns, make_study) -> list[TrainingResult]:
    """The same simulated study twice, the second time with its rows shuffled."""
    data = make_study(500)
    order = np.random.default_rng(0).permutation(len(data))
    phases: list[str] = []
    first = train(data, mlruns, STUDY, progress=phases.append)
    assert phases == PHASES == list(first.seconds)
    return [first, train(data.subset(order), mlruns, STUDY)]


def test_the_first_model_is_champion_and_the_next_its_challenger(results, mlruns):
    assert [(result.version, result.alias) for result in results] == [
        ("1", "champion"),
        ("2", "challenger"),
    ]
    model = champion(mlruns)
    assert (model.name, model.version, model.run_id) == ("readmit", "1", results[0].run_id)


def test_two_runs_on_the_same_stays_give_the_same_model_byte_for_byte(results):
    first, second = (load_risk_model(result_folder(result)) for result in results)
    assert first.fingerprint == second.fingerprint


def result_folder(result):
    return Path(result.folder)


def test_the_result_says_how_good_and_beside_what(results):
    told = json.loads(msgspec.json.encode(results[0]))
    assert set(told["baselines"]) == {"lace", "hospital", "prevalence", "logistic"}
    measures = {"auroc", "auprc", "brier", "log_loss", "calibration_slope", "calibration_intercept"}
    assert measures < told["test"].keys()
    assert told["test"]["auroc"]["low"] < told["test"]["auroc"]["high"]
    assert told["differences"]["lace"]["auroc"]["value"] == pytest.approx(
        told["test"]["auroc"]["value"] - told["baselines"]["lace"]["auroc"]["value"]
    )
    assert {name for name, _ in told["strongest"][:2]} <= {"f0", "f1", "f2"}
    sizes = [size for _, size in told["strongest"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_reference_describes_the_training_stays(results, mlruns):
    reference = champion(mlruns).reference
    assert reference.prevalence == pytest.approx(
        results[0].train["readmissions"] / results[0].train["stays"]
    )
    assert reference.low_below <= reference.high_from
    assert reference.profile == "simulated"
    for feature in reference.features:
        assert 0.05 < feature.missing < 0.15
        assert len(feature.quantiles) == 11
        assert list(feature.quantiles) == sorted(feature.quantiles)
        assert sum(feature.shares) == pytest.approx(1)
    assert reference.test["auroc"].value == results[0].test["auroc"].value


def test_mlflow_keeps_the_record(results, mlruns):
    from mlflow import MlflowClient

    database = f"sqlite:///{mlruns / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=database, registry_uri=database)
    run = client.get_run(results[0].run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["auroc"] == pytest.approx(results[0].test["auroc"].value)
    assert {"auroc_low", "auroc_high", "lace_auroc", "difference_lace_auroc_low"} < set(
        run.data.metrics
    )
    assert run.data.params["max_depth"] == "3"
    assert run.data.tags["data_fingerprint"] == "0" * 64
    assert client.get_model_version_by_alias("readmit", "champion").run_id == results[0].run_id
    version = client.get_model_version_by_alias("readmit", "challenger")
    assert str(version.version) == "2"
    assert version.run_id == results[1].run_id
    assert version.source.endswith("/artifacts/model")
    files = {path.path for path in client.list_artifacts(results[0].run_id)}
    assert files == {
        "model",
        "plots",
        "report.html",
        "flow.json",
        "strongest.json",
        "study.json",
    } | (FILES.keys() - {"search.json", "changes.json"})
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_run_whose_model_is_damaged_fails_and_registers_nothing(results, tmp_path):
    from mlflow import MlflowClient

    from training.tracking import record_run

    shutil.copytree(results[0].folder, tmp_path / "artifacts" / "model")
    (tmp_path / "artifacts" / "model" / "model.ubj").write_bytes(b"damaged")
    mlruns = tmp_path / "mlruns"
    with pytest.raises(RiskModelError, match=r"model\.ubj"):
        record_run(mlruns, tmp_path / "artifacts", parameters={}, metrics={}, tags={})
    database = f"sqlite:///{mlruns / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=database, registry_uri=database)
    experiment = client.get_experiment_by_name("readmit")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert client.search_registered_models() == []
    assert read_champion(mlruns) is None


def test_no_pickle_is_written(results, mlruns):
    names = [path.name for path in mlruns.rglob("*")]
    assert "model.ubj" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]


def test_the_same_study_is_drawn_the_same():
    random = np.random.default_rng(0)
    outcome = random.random(200) < 0.3
    risk = random.random(200)
    for draw in (
        lambda: plots.roc_curve({"readmit": risk, "LACE": np.round(risk)}, outcome, "simulated"),
        lambda: plots.precision_recall_curve({"readmit": risk}, outcome, "simulated"),
    ):
        first = draw()
        assert first == draw()
        assert "<svg" in first
        assert "simulated" in first
