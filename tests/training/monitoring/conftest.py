"""A small simulated hospital, a model trained on it, and the same hospital with another unit."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.store import open_store
from training.calibration import fit_platt
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.fit import FitSettings, fit_trees
from training.monitoring.drift import shares
from training.risk_model import (
    Calibration,
    FeatureReference,
    Interval,
    Reference,
    RiskModel,
    load_risk_model,
    save_risk_model,
)
from training.simulated_hospital import simulate
from training.study import EvaluationRules, Study

PATIENTS = 220
HAEMOGLOBIN = "718-7"
TENTHS = np.linspace(0, 1, 11)


class Hospital(NamedTuple):
    """Where the records lie, the store made of them, and how they are coded."""

    records: Path
    store: Path
    profile: SiteProfile


@pytest.fixture(scope="session")
def hospital(tmp_path_factory) -> Hospital:
    folder = tmp_path_factory.mktemp("hospital")
    profile = load_profile("simulated")
    simulate(folder / "records", PATIENTS, 5)
    ingest([folder / "records"], folder / "store", profile, shards=2)
    return Hospital(folder / "records", folder / "store", profile)


@pytest.fixture(scope="session")
def hospital_with_another_unit(hospital, tmp_path_factory) -> Hospital:
    """The same people, but half of them have a laboratory that sends g/L and says g/dL."""
    folder = tmp_path_factory.mktemp("another-unit")
    shutil.copytree(hospital.records, folder / "records")
    for path in (folder / "records").rglob("*.ndjson*"):
        read = gzip.open if path.suffix == ".gz" else open
        with read(path, "rt", encoding="utf-8") as lines:
            changed = "".join(_ten_times(line) for line in lines)
        with read(path, "wt", encoding="utf-8") as out:
            out.write(changed)
    ingest([folder / "records"], folder / "store", hospital.profile, shards=2)
    return Hospital(folder / "records", folder / "store", hospital.profile)


def _ten_times(line: str) -> str:
    if HAEMOGLOBIN not in line or '"valueQuantity"' not in line:
        return line
    record = json.loads(line)
    number = sum(map(int, re.findall(r"\d", record["subject"]["reference"])))
    if number % 2 == 0 and "value" in record["valueQuantity"]:
        record["valueQuantity"]["value"] *= 10
    return json.dumps(record) + "\n"


@pytest.fixture(scope="session")
def hospital_model(hospital, tmp_path_factory) -> RiskModel:
    with open_store(hospital.store) as store:
        data = study_data(store, hospital.profile, CohortRules()).ordered()
    folds = (np.unique(data.subjects.astype(str), return_inverse=True)[1] % 5).astype(np.int8)
    fit = fit_trees(
        data.features, data.values, data.outcome, folds, seed=1, settings=FitSettings(threads=1)
    )
    platt = fit_platt(fit.out_of_fold, data.outcome)
    risks = platt.probability(fit.out_of_fold)
    folder = tmp_path_factory.mktemp("hospital-model") / "model"
    save_risk_model(
        folder,
        name="readmit",
        booster=bytes(fit.booster.save_raw("ubj")),
        features=data.features,
        calibration=Calibration(platt.slope, platt.intercept),
        reference=Reference(
            intended_population="simulated adults",
            outcome="simulated readmission",
            horizon_days=30,
            profile="simulated",
            data_fingerprint=data.fingerprint,
            split="none: simulated for tests",
            training_stays=len(data),
            training_readmissions=int(data.outcome.sum()),
            prevalence=float(data.outcome.mean()),
            low_below=float(data.outcome.mean()),
            high_from=float(np.quantile(risks, 0.8)),
            risk_quantiles=tuple(np.quantile(risks, TENTHS).tolist()),
            features=tuple(
                _reference(feature.name, data.values[:, column].astype(float), used)
                for column, (feature, used) in enumerate(
                    zip(data.features, fit.used.tolist(), strict=True)
                )
            ),
            test={"auroc": Interval(0.7, 0.6, 0.8)},
            baselines={},
        ),
    )
    return load_risk_model(folder, version="3")


def _reference(name: str, column, used: bool) -> FeatureReference:
    known = column[~np.isnan(column)]
    quantiles = tuple(np.quantile(known, TENTHS).tolist()) if len(known) else ()
    return FeatureReference(
        name, 1 - len(known) / len(column), quantiles, used, shares(quantiles, known)
    )


@pytest.fixture(scope="session")
def quick_study() -> Study:
    return Study(evaluation=EvaluationRules(resamples=50))
