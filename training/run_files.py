"""The files of a run before it is logged: the risk model's folder and what its test stays said."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import numpy as np

from fhir_mappings.features.declaration import Feature
from fhir_mappings.profiles import SIMULATED
from training.findings import RunFacts
from training.fitted import Fitted, Incumbent
from training.forecast.overdispersion import overdispersion_of
from training.monitoring.drift import shares
from training.return_times import return_curve
from training.risk_model import (
    Calibration,
    FeatureReference,
    Interval,
    Reference,
    save_risk_model,
)
from training.study_data import FloatArray, StudyData
from training.tracking import REGISTERED_NAME

INTENDED_POPULATION = (
    "Adults discharged alive, home or to a facility, from an acute inpatient stay; not transfers "
    "to another acute hospital, discharges against advice, births or deliveries."
)
POPULATION_OF_A_FILE = (
    "The stays that an external cohort file names; the rules of readmit did not choose them."
)
_TENTHS = np.linspace(0, 1, 11)
_DECISIVE = ("numpy", "xgboost-cpu", "xgboost")
"""Packages whose versions decide what the trees are."""


def write_model(
    folder: Path,
    fitted: Fitted,
    measures: dict[str, Interval],
    baselines: dict[str, dict[str, Interval]],
    population: str,
) -> None:
    """Write the risk model's folder.

    Args:
        folder: must not exist.
        fitted: the study.
        measures: of the model on the test stays.
        baselines: the same of the baselines.
        population: whom the model is for.
    """
    save_risk_model(
        folder,
        name=REGISTERED_NAME,
        booster=fitted.booster(),
        features=fitted.data.features,
        calibration=Calibration(fitted.platt.slope, fitted.platt.intercept),
        reference=_reference(fitted, measures, baselines, population),
    )


def write_findings(folder: Path, findings: dict[str, msgspec.Struct]) -> None:
    """Write findings as JSON, each under its name in ``findings.FILES``."""
    for name, finding in findings.items():
        content = msgspec.json.format(msgspec.json.encode(finding), indent=1)
        (folder / name).write_bytes(content + b"\n")


def write_plain(folder: Path, values: dict[str, object]) -> None:
    """Write what is no struct of the findings as JSON."""
    for name, value in values.items():
        (folder / name).write_bytes(msgspec.json.encode(value))


def run_facts(fitted: Fitted, incumbent: Incumbent | None) -> RunFacts:
    """What was run on what, and beside which model in use."""
    data, learning = fitted.data, fitted.learning
    return RunFacts(
        study_name=fitted.study.name,
        study_sha256=fitted.study.digest(),
        data_fingerprint=data.fingerprint,
        code_version=version("readmit"),
        seed=fitted.study.seed,
        profile=data.profile,
        simulated=data.profile in SIMULATED,
        horizon_days=data.horizon_days,
        calendar=data.calendar,
        split=fitted.split.sentence,
        train_stays=len(learning),
        train_patients=len(set(learning.subjects)),
        train_readmissions=int(learning.outcome.sum()),
        first_discharge=_date(data, "min"),
        last_discharge=_date(data, "max"),
        features=len(data.features),
        features_used=int(fitted.fit.used.sum()),
        trees=fitted.fit.rounds,
        champion_sha256=None if incumbent is None else incumbent.model.fingerprint,
        training_sha256=fitted.training_sha256,
        champion_unseen=None
        if incumbent is None
        else incumbent.training_sha256 == fitted.training_sha256,
        packages={"python": platform.python_version(), **_versions()},
    )


def _date(data: StudyData, which: str) -> str | None:
    if not data.calendar:
        return None
    return str(getattr(data.stays["discharged"], which)().date().isoformat())


def _versions() -> dict[str, str]:
    found = {}
    for package in _DECISIVE:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # xgboost goes by one of two names, by the platform
    return found


def _reference(
    fitted: Fitted,
    measures: dict[str, Interval],
    baselines: dict[str, dict[str, Interval]],
    population: str,
) -> Reference:
    data, learning = fitted.data, fitted.learning
    risks = fitted.platt.probability(fitted.fit.out_of_fold)
    returns = return_curve(
        learning, resamples=fitted.study.evaluation.resamples, seed=fitted.study.seed
    )
    return Reference(
        intended_population=population,
        outcome=f"Unplanned inpatient readmission within {data.horizon_days} days of discharge.",
        horizon_days=data.horizon_days,
        profile=data.profile,
        data_fingerprint=data.fingerprint,
        split=fitted.split.sentence,
        training_stays=len(learning),
        training_readmissions=int(learning.outcome.sum()),
        prevalence=fitted.prevalence,
        low_below=fitted.prevalence,
        high_from=fitted.high_from,
        risk_quantiles=_quantiles(risks),
        features=tuple(
            _feature_reference(feature, learning.values[:, column].astype(np.float64), used)
            for column, (feature, used) in enumerate(
                zip(data.features, fitted.fit.used.tolist(), strict=True)
            )
        ),
        test=measures,
        baselines=baselines,
        returns=returns,
        overdispersion=overdispersion_of(learning, risks, returns),
    )


def _feature_reference(feature: Feature, column: FloatArray, used: bool) -> FeatureReference:
    known = column[~np.isnan(column)]
    quantiles = _quantiles(known) if len(known) else ()
    return FeatureReference(
        name=feature.name,
        missing=1 - len(known) / len(column),
        quantiles=quantiles,
        used=used,
        shares=shares(quantiles, known),
    )


def _quantiles(values: FloatArray) -> tuple[float, ...]:
    return tuple(np.quantile(values, _TENTHS).tolist())
