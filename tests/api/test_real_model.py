"""The service with a real risk model: a folder on disk, trees, TreeSHAP, calibration."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from fhir_mappings.features.declaration import declared_features
from service import examples
from training.risk_model import (
    Calibration,
    FeatureReference,
    Interval,
    Reference,
    RiskModel,
    load_risk_model,
    save_risk_model,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of made-up stays: enough trees to have reasons, and no meaning at all."""
    features = declared_features()
    random = np.random.default_rng(7)
    values = random.normal(3.0, 3.0, (400, len(features)))
    values[random.random(values.shape) < 0.3] = np.nan
    readmitted = random.random(400) < 0.2
    booster = xgboost.train(
        {"max_depth": 3, "objective": "binary:logistic", "nthread": 1, "seed": 1},
        xgboost.DMatrix(values, readmitted),
        num_boost_round=40,
    )
    reference = Reference(
        intended_population="Nobody: made up for a test.",
        outcome="Unplanned admission within 30 days.",
        horizon_days=30,
        profile="default",
        data_fingerprint="0" * 64,
        split="none",
        training_stays=400,
        training_readmissions=80,
        prevalence=0.2,
        low_below=0.2,
        high_from=0.3,
        risk_quantiles=(0.0, 1.0),
        features=tuple(FeatureReference(one.name, 0.3, (0.0, 1.0), used=True) for one in features),
        test={"auroc": Interval(0.5, 0.4, None)},
        baselines={"LACE": {"auroc": Interval(0.5, 0.4, 0.6)}},
    )
    made: Path = tmp_path_factory.mktemp("models") / "model"
    save_risk_model(
        made,
        name="made-up",
        booster=bytes(booster.save_raw("ubj")),
        features=features,
        calibration=Calibration(slope=0.8, intercept=-0.1),
        reference=reference,
    )
    return made


@pytest.fixture(scope="module")
def trees(folder: Path) -> RiskModel:
    return load_risk_model(folder)


def test_reasons_the_rest_and_the_baseline_add_up_with_real_trees(
    client_loading: Callable[[Path], Any], folder: Path
) -> None:
    content = client_loading(folder).score().json()
    total = content["baseline_log_odds"] + content["other_contributions"]
    total += sum(reason["contribution"] for reason in content["reasons"])
    assert len(content["reasons"]) == 6
    assert math.isclose(total, content["log_odds"], abs_tol=1e-5)
    assert math.isclose(content["probability"], 1 / (1 + math.exp(-total)), abs_tol=1e-5)


def test_the_service_says_what_the_model_says(
    client_loading: Callable[[Path], Any], folder: Path, trees: RiskModel
) -> None:
    from fhir_mappings.concepts import load_concepts
    from fhir_mappings.features.engine import View
    from fhir_mappings.profiles import load_profile
    from fhir_mappings.reading import read_bundle
    from fhir_mappings.timeline import Timeline

    profile = load_profile("default")
    records = read_bundle(json.dumps(examples.BUNDLE).encode(), profile)
    timeline = Timeline(records.subject, records.events, load_concepts(), profile)
    stay = timeline.stays[-1]
    assert stay.end is not None
    row = View(timeline, stay, stay.end).row(trees.features)
    content = client_loading(folder).score().json()
    assert content["probability"] == pytest.approx(float(trees.predict([row])[0]), abs=1e-9)
    assert content["band"] == trees.band(content["probability"])


def test_the_model_describes_itself(client_loading: Callable[[Path], Any], folder: Path) -> None:
    described = client_loading(folder).get("/v1/model").json()
    assert described["model"] == {"name": "made-up", "version": "unregistered", "run_id": None}
    assert described["intended_population"] == "Nobody: made up for a test."
    assert described["test"] == {"auroc": {"value": 0.5, "low": 0.4, "high": None}}
    assert described["profile"] == described["serving_profile"] == "default"
    assert len(described["inputs"]) == len(declared_features())


def test_a_model_changed_by_one_byte_is_not_served(
    client_loading: Callable[[Path], Any], folder: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in folder.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    trees = bytearray((damaged / "model.ubj").read_bytes())
    trees[len(trees) // 2] ^= 1
    (damaged / "model.ubj").write_bytes(trees)
    client = client_loading(damaged)
    for answer in (client.get("/readyz"), client.score()):
        assert answer.status_code == 503
        assert "model.ubj" in answer.json()["detail"]
        assert "probability" not in answer.text


def test_scoring_pulls_in_nothing_that_only_training_and_reports_need(
    folder: Path, tmp_path: Path
) -> None:
    # pandas and sklearn are not on the list: XGBoost itself imports them where they are installed.
    program = f"""
import json, sys
from pathlib import Path
from fhir_mappings.reading import read_bundle
from fhir_mappings.timeline import Timeline
from service import examples
from service.scoring import choose_stay, score_stay
from service.serving import Serving
from service.settings import Settings
serving = Serving(Settings(risk_model=Path({str(folder)!r}), development=True), None)
records = read_bundle(json.dumps(examples.BUNDLE).encode(), serving.profile)
timeline = Timeline(records.subject, records.events, serving.concepts, serving.profile)
stay = choose_stay(timeline, None, None)
score = score_stay(serving.model, timeline, stay, stay.end, opt_outs=serving.opt_outs)
assert score.status == "scored"
heavy = ("mlflow", "shap", "matplotlib", "training.fit")
print(",".join(name for name in heavy if name in sys.modules), end="")
"""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
