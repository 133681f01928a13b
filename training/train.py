"""Training from matrix to registered model: split, fit, calibrate, evaluate, save, log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import xgboost

from fhir_mappings.features.declaration import Feature
from training import plots, tracking
from training.calibration import Platt, fit_platt
from training.evaluation.evaluate import evaluate
from training.evaluation.measures import Risk
from training.findings import Evaluation
from training.fit import Fit, FitSettings, fit_trees
from training.monitoring.drift import shares
from training.risk_model import (
    Calibration,
    FeatureReference,
    Interval,
    Reference,
    load_risk_model,
    save_risk_model,
)
from training.split import Split, split_stays
from training.study import EvaluationRules
from training.study_data import BoolArray, FloatArray, StudyData

Progress = Callable[[str], None]
"""Told the name of each phase as it starts."""

SEED = 20_240_229
INTENDED_POPULATION = (
    "Adults discharged alive, home or to a facility, from an acute inpatient stay; not transfers "
    "to another acute hospital, discharges against advice, births or deliveries."
)
MOST_EXPLAINED = 5_000
"""Test stays whose contributions are averaged; more would not change the order of features."""
_TENTHS = np.linspace(0, 1, 11)


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run made and how good it is, JSON-able."""

    run_id: str
    model: str
    version: str
    alias: str
    """``champion`` or ``challenger``."""
    folder: str
    profile: str
    features: int
    features_used: int
    """Features that any tree may split on; the others did not help unseen patients."""
    trees: int
    split: str
    train: dict[str, int]
    """Stays and readmissions of the training part."""
    test: dict[str, Any]
    """Stays, patients, readmissions and deaths of the test part, and each measure's interval."""
    baselines: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    """The model's measure minus the baseline's, on the same resampled patients."""
    strongest: list[tuple[str, float]]
    """Features by mean absolute contribution on test stays, in log-odds."""
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Study:
    """What the phases hand on."""

    data: StudyData
    split: Split
    fit: Fit
    platt: Platt
    evaluation: Evaluation
    risks: dict[str, Risk]


def train(
    data: StudyData,
    mlruns: Path,
    *,
    seed: int = SEED,
    bootstrap: int = 1_000,
    settings: FitSettings | None = None,
    intended_population: str = INTENDED_POPULATION,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train, evaluate and register a risk model.

    The same stays, seed and settings give the same ``model.ubj`` byte for byte, in whatever order
    the stays come.

    Args:
        data: the matrix with outcomes.
        mlruns: the folder of MLflow.
        seed: of the split, the trees and the resampling.
        bootstrap: how many times patients are resampled for intervals.
        settings: of the trees.
        intended_population: who the model is for, kept with it.
        progress: told each phase.

    Raises:
        StudyError: if the data cannot be split or hold one outcome only.

    """
    seconds: dict[str, float] = {}

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        if progress is not None:
            progress(name)
        started = time.perf_counter()
        yield
        seconds[name] = round(time.perf_counter() - started, 3)

    data = data.ordered()
    settings = settings or FitSettings()
    with phase("split"):
        split = split_stays(data, seed=seed)
        learning = data.subset(split.train)
    with phase("fit"):
        fit = fit_trees(
            data.features,
            learning.values,
            learning.outcome,
            split.folds[split.train],
            seed=seed,
            settings=settings,
        )
    with phase("calibrate"):
        platt = fit_platt(fit.out_of_fold, learning.outcome)
    with phase("evaluate"):
        risks = _risks(data, split, fit, platt)
        judged = data.subset(split.test)
        evaluation = evaluate(
            risks["model"],
            {name: risk for name, risk in risks.items() if name != "model"},
            judged.outcome,
            judged.subjects,
            deaths=int(judged.stays["died_within_horizon"].sum()),
            weeks=_weeks(judged),
            high_from=_high_from(platt.probability(fit.out_of_fold), learning.outcome),
            rules=EvaluationRules(resamples=bootstrap),
            seed=seed,
        )
    study = _Study(data, split, fit, platt, evaluation, risks)
    with TemporaryDirectory(prefix="readmit-") as temporary:
        artifacts = Path(temporary)
        with phase("save"):
            strongest = _write_artifacts(artifacts, study, intended_population)
        with phase("log"):
            registered = tracking.record_run(
                mlruns,
                artifacts,
                parameters=_parameters(study, settings, seed, bootstrap),
                metrics=_metrics(evaluation),
                tags={
                    "data_fingerprint": data.fingerprint,
                    "profile": data.profile,
                    "split": split.sentence,
                },
            )
    return TrainingResult(
        run_id=registered.run_id,
        model=tracking.REGISTERED_NAME,
        version=registered.version,
        alias=registered.alias,
        folder=str(registered.folder),
        profile=data.profile,
        features=len(data.features),
        features_used=int(fit.used.sum()),
        trees=fit.rounds,
        split=split.sentence,
        train={"stays": len(learning), "readmissions": int(learning.outcome.sum())},
        test={
            "stays": evaluation.stays,
            "patients": evaluation.patients,
            "readmissions": evaluation.readmissions,
            "deaths": evaluation.deaths,
            **evaluation.model,
        },
        baselines=evaluation.baselines,
        differences=evaluation.differences,
        strongest=strongest,
        seconds=seconds,
    )


def _risks(data: StudyData, split: Split, fit: Fit, platt: Platt) -> dict[str, Risk]:
    """The model's and the baselines' risks of the test stays."""
    outcome = data.outcome[split.train]
    matrix = xgboost.DMatrix(data.values[split.test])
    margin = fit.booster.predict(matrix, output_margin=True).astype(np.float64)
    risks = {"model": Risk(margin, platt.probability(margin))}
    for name in ("lace", "hospital"):
        points = data.score(name)
        scaled = fit_platt(points[split.train], outcome)
        risks[name] = Risk(points[split.test], scaled.probability(points[split.test]))
    constant = np.full(int(split.test.sum()), outcome.mean())
    return {**risks, "prevalence": Risk(constant, constant)}


def _write_artifacts(
    artifacts: Path, study: _Study, intended_population: str
) -> list[tuple[str, float]]:
    """The model's folder, the plots, the declarations and the flow; returns the strongest."""
    data, split = study.data, study.split
    folder = artifacts / tracking.MODEL_FOLDER
    save_risk_model(
        folder,
        name=tracking.REGISTERED_NAME,
        booster=bytes(study.fit.booster.save_raw("ubj")),
        features=data.features,
        calibration=Calibration(study.platt.slope, study.platt.intercept),
        reference=_reference(study, intended_population),
    )
    strongest = _strongest(folder, data, split)
    outcome = data.outcome[split.test]
    rankings = {
        label: study.risks[name].ranking
        for name, label in (("model", "readmit"), ("lace", "LACE"), ("hospital", "HOSPITAL"))
    }
    source = f"{len(outcome)} test stays, {data.profile} records"
    drawn = {
        "roc.svg": plots.roc_curve(rankings, outcome, source),
        "precision_recall.svg": plots.precision_recall_curve(rankings, outcome, source),
        "calibration.svg": plots.calibration_plot(
            study.risks["model"].probability, outcome, source
        ),
        "importance.svg": plots.importance_plot(strongest[:20], source),
    }
    (artifacts / "plots").mkdir()
    for name, text in drawn.items():
        (artifacts / "plots" / name).write_text(text, encoding="utf-8")
    (artifacts / "flow.json").write_bytes(msgspec.json.encode(data.flow))
    (artifacts / "evaluation.json").write_bytes(msgspec.json.encode(study.evaluation))
    (artifacts / "strongest.json").write_bytes(msgspec.json.encode(strongest))
    return strongest


def _strongest(folder: Path, data: StudyData, split: Split) -> list[tuple[str, float]]:
    """Features by mean absolute contribution, asked of the model as it was saved."""
    rows = np.flatnonzero(split.test)
    if len(rows) > MOST_EXPLAINED:
        rows = rows[:: len(rows) // MOST_EXPLAINED + 1]
    explained = load_risk_model(folder).explain_many(data.values[rows])
    sizes = np.abs([prediction.contributions for prediction in explained]).mean(axis=0)
    ranked = sorted(zip(data.features, sizes.tolist(), strict=True), key=lambda pair: -pair[1])
    return [(feature.name, round(size, 6)) for feature, size in ranked if size > 0]


def _reference(study: _Study, intended_population: str) -> Reference:
    data, evaluation = study.data, study.evaluation
    outcome = data.outcome[study.split.train]
    risks = study.platt.probability(study.fit.out_of_fold)
    prevalence = float(outcome.mean())
    values = data.values[study.split.train]
    return Reference(
        intended_population=intended_population,
        outcome=f"Unplanned inpatient readmission within {data.horizon_days} days of discharge.",
        horizon_days=data.horizon_days,
        profile=data.profile,
        data_fingerprint=data.fingerprint,
        split=study.split.sentence,
        training_stays=len(outcome),
        training_readmissions=int(outcome.sum()),
        prevalence=prevalence,
        low_below=prevalence,
        high_from=_high_from(risks, outcome),
        risk_quantiles=_quantiles(risks),
        features=tuple(
            _feature_reference(feature, values[:, column].astype(np.float64), used)
            for column, (feature, used) in enumerate(
                zip(data.features, study.fit.used.tolist(), strict=True)
            )
        ),
        test=evaluation.model,
        baselines=evaluation.baselines,
    )


def _high_from(out_of_fold: FloatArray, outcome: BoolArray) -> float:
    """The high band: the fifth of the training stays with the highest risks, none below average."""
    return max(float(np.quantile(out_of_fold, 0.8)), float(outcome.mean()))


def _weeks(judged: StudyData) -> float | None:
    """From the first to the last discharge; None where dates are shifted per patient."""
    if not judged.calendar:
        return None
    discharged = judged.stays["discharged"]
    return float((discharged.max() - discharged.min()).total_seconds() / (7 * 86_400))


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


def _parameters(
    study: _Study, settings: FitSettings, seed: int, bootstrap: int
) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(settings),
        "seed": seed,
        "bootstrap": bootstrap,
        "trees": study.fit.rounds,
        "features": len(study.data.features),
        "features_used": int(study.fit.used.sum()),
        "horizon_days": study.data.horizon_days,
        "train_stays": int(study.split.train.sum()),
        "test_stays": study.evaluation.stays,
        "calibration_slope_fitted": study.platt.slope,
        "calibration_intercept_fitted": study.platt.intercept,
    }


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    """Measures by name, with ``_low`` and ``_high``; what cannot be estimated is left out."""
    named = {
        "": evaluation.model,
        **{f"{name}_": measures for name, measures in evaluation.baselines.items()},
        **{f"difference_{name}_": measures for name, measures in evaluation.differences.items()},
    }
    return {
        f"{prefix}{measure}{suffix}": number
        for prefix, measures in named.items()
        for measure, interval in measures.items()
        for suffix, number in (
            ("", interval.value),
            ("_low", interval.low),
            ("_high", interval.high),
        )
        if number is not None
    }
