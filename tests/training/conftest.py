"""Simulated studies: every patient and figure in these tests is made up by a random generator."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fhir_mappings.features.declaration import Feature, Phrases
from training.calibration import fit_platt
from training.fit import Fit, fit_trees
from training.risk_model import (
    Calibration,
    FeatureReference,
    Reference,
    RiskModel,
    load_risk_model,
    save_risk_model,
)
from training.split import split_stays
from training.study_data import StudyData

DRIVERS = ("raises", "raises", "lowers", "either")
MakeStudy = Callable[..., StudyData]


def simulated_feature(name: str, direction: str = "either") -> Feature:
    return msgspec.convert(
        {
            "name": name,
            "family": "conditions",
            "description": f"simulated feature {name}",
            "measure": "count",
            "of": "kind:diagnosis",
            "window": "before",
            "direction": direction,
            "rationale": "simulated",
            "reference": "none",
            "phrases": msgspec.to_builtins(Phrases(many="{value}")),
        },
        Feature,
    )


def simulated_study(
    stays: int = 600,
    noise: int = 6,
    seed: int = 1,
    calendar: bool = True,
    effect: float = 1.0,
    intercept: float = -1.6,
    stays_a_patient: float = 1.6,
) -> StudyData:
    """Stays whose true log-odds are ``effect * (0.6 x0 + 0.5 x1 - 0.6 x2) + patient + intercept``.

    A tenth of the values are missing at random.
    """
    random = np.random.default_rng(seed)
    patients = max(2, int(stays / stays_a_patient))
    owner = random.integers(0, patients, stays)
    subjects = np.array([f"simulated-{number:05d}" for number in owner], dtype=object)
    values = random.normal(size=(stays, 4 + noise)).astype(np.float32)
    values[:, 0] = random.poisson(1.0, stays)
    log_odds = effect * (0.6 * values[:, 0] + 0.5 * values[:, 1] - 0.6 * values[:, 2]) + intercept
    log_odds += random.normal(0, 0.3, patients)[owner]
    values[random.random(values.shape) < 0.1] = np.nan
    discharged = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(
        random.integers(0, 365 * 24 * 60, stays), unit="min"
    )
    directions = [*DRIVERS, *["either"] * noise]
    return StudyData(
        features=tuple(simulated_feature(f"f{i}", way) for i, way in enumerate(directions)),
        values=values,
        outcome=random.random(stays) < expit(log_odds),
        subjects=subjects,
        stays=pd.DataFrame(
            {
                "encounter_id": [f"stay-{number}" for number in range(stays)],
                "subject": subjects,
                "admitted": discharged - pd.Timedelta(days=3),
                "discharged": discharged,
                "lace": np.nan_to_num(values[:, 0]) * 2 + random.integers(0, 5, stays),
                "hospital": random.integers(0, 13, stays).astype(float),
                "died_within_horizon": random.random(stays) < 0.02,
            }
        ),
        calendar=calendar,
        horizon_days=30,
        fingerprint="0" * 64,
        flow=[{"step": "simulated stays", "excluded": 0, "left": stays}],
        profile="simulated",
    )


@pytest.fixture(scope="session")
def make_study() -> MakeStudy:
    return simulated_study


@pytest.fixture(scope="session")
def study() -> StudyData:
    return simulated_study(1_200).ordered()


@pytest.fixture(scope="session")
def fit(study: StudyData) -> Fit:
    split = split_stays(study, seed=3)
    learning = study.subset(split.train)
    folds = split.folds[split.train]
    return fit_trees(study.features, learning.values, learning.outcome, folds, seed=3)


@pytest.fixture
def save(study: StudyData, fit: Fit) -> Callable[[Path], str]:
    """Saves the simulated study's model to a new folder and returns its manifest's SHA-256."""
    return lambda folder: save_simulated(folder, study, fit)


@pytest.fixture(scope="session")
def save_with(study: StudyData, fit: Fit) -> Callable[[float], Callable[[Path], str]]:
    """The same as ``save``, for a model whose risks are spread by a factor: another model."""
    return lambda spread: lambda folder: save_simulated(folder, study, fit, spread)


def save_simulated(folder: Path, study: StudyData, fit: Fit, spread: float = 1.0) -> str:
    split = split_stays(study, seed=3)
    platt = fit_platt(fit.out_of_fold, study.outcome[split.train])
    return save_risk_model(
        folder,
        name="readmit",
        booster=bytes(fit.booster.save_raw("ubj")),
        features=study.features,
        calibration=Calibration(platt.slope * spread, platt.intercept),
        reference=Reference(
            intended_population="simulated adults",
            outcome="simulated readmission",
            horizon_days=30,
            profile="simulated",
            data_fingerprint=study.fingerprint,
            split=split.sentence,
            training_stays=int(split.train.sum()),
            training_readmissions=int(study.outcome[split.train].sum()),
            prevalence=0.2,
            low_below=0.2,
            high_from=0.35,
            risk_quantiles=(),
            features=tuple(
                FeatureReference(feature.name, 0.1, (), True) for feature in study.features
            ),
            test={},
            baselines={},
        ),
    )


@pytest.fixture(scope="session")
def risk_model(study: StudyData, fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> RiskModel:
    folder = tmp_path_factory.mktemp("risk-model") / "model"
    save_simulated(folder, study, fit)
    return load_risk_model(folder)


@pytest.fixture(scope="session")
def blank_mlflow(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty database of MLflow: making one takes forty migrations."""
    from training.tracking.client import connect

    folder = tmp_path_factory.mktemp("blank")
    connect(folder).search_experiments()
    return (folder / "mlflow.db").read_bytes()
