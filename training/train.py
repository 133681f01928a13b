"""Training from matrix to registered model: fit, judge, explain, report, log."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import xgboost

from training import run_files, tracking
from training.calibration import fit_platt
from training.evaluation.evaluate import evaluate
from training.evaluation.measures import Risk
from training.evaluation.subgroups import fairness
from training.explanation.discharge_records import FeatureRecords
from training.explanation.explain import explain_model
from training.explanation.importance import Contributions
from training.explanation.leakage import audit_leakage
from training.explanation.shap_plots import shap_plots
from training.findings import Evaluation, Explanation, Fairness, LeakageAudit, Learning
from training.fitted import Fitted, Incumbent, Phases, Progress, fit_study
from training.learning_curve import learning_curve, learning_plot
from training.logistic import fit_logistic
from training.promotion import judge_run, register_run
from training.report import plots
from training.report.render import REPORT, Champion, write_report
from training.risk_model import Interval, load_risk_model
from training.study import Study
from training.study_data import StudyData

SEARCHES = "tuning"
"""The folder of searches, below MLflow's."""


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run made and how good it is, JSON-able."""

    run_id: str
    model: str
    version: str
    alias: str
    """``champion`` or ``challenger``."""
    provisional: bool
    """Whether it is in use, being the first, without having passed its gates."""
    folder: str
    report: str
    """The report's file."""
    profile: str
    study: str
    """SHA-256 of the study's choices."""
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
    gates: dict[str, bool]
    """Whether each gate was passed, or waived in the study file."""
    strongest: list[tuple[str, float]]
    """Features by mean absolute contribution on test stays, in log-odds."""
    seconds: dict[str, float]


@dataclass(frozen=True)
class Findings:
    """What the test stays, and refits, say of a fitted model."""

    evaluation: Evaluation
    fairness: Fairness
    leakage: LeakageAudit
    explanation: Explanation
    contributions: Contributions
    learning: Learning
    risks: dict[str, Risk]


def train(
    data: StudyData,
    mlruns: Path,
    study: Study | None = None,
    *,
    tune: int = 0,
    incumbent: Incumbent | None = None,
    records: Sequence[FeatureRecords] = (),
    population: str = run_files.INTENDED_POPULATION,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train, evaluate and register a risk model.

    The same stays and study give the same ``model.ubj`` byte for byte, in whatever order the stays
    come, and whether or not a search among them was cut off and taken up again.

    Args:
        data: the matrix with outcomes.
        mlruns: the folder of MLflow.
        study: every choice; the defaults where none is given.
        tune: how many settings of the trees to try; 0 for the study's own.
        incumbent: the model in use, to be compared with on the same test stays.
        records: what computing rows anew from the records showed, for the leakage audit.
        population: whom the model is for, kept with it.
        progress: told each phase.

    Raises:
        StudyError: if the data cannot be split or hold one outcome only.

    """
    phase = Phases(progress)
    fitted = fit_study(data, study or Study(), mlruns / SEARCHES, tune=tune, phase=phase)
    with TemporaryDirectory(prefix="readmit-") as temporary:
        artifacts = Path(temporary)
        folder = artifacts / tracking.MODEL_FOLDER
        found = _findings(fitted, folder, incumbent, records, population, phase)
        with phase("report"):
            _write(artifacts, fitted, found, mlruns, incumbent)
        with phase("log"):
            registered = register_run(
                mlruns,
                artifacts,
                parameters=_parameters(fitted),
                metrics=_metrics(found.evaluation),
                tags={
                    "data_fingerprint": data.fingerprint,
                    "study_sha256": fitted.study.digest(),
                    "profile": data.profile,
                    "split": fitted.split.sentence,
                },
                trials=() if fitted.search is None else fitted.search.trials,
            )
    evaluation = found.evaluation
    return TrainingResult(
        run_id=registered.run_id,
        model=tracking.REGISTERED_NAME,
        version=registered.version,
        alias=registered.alias,
        folder=str(registered.folder),
        provisional=registered.provisional,
        report=str(registered.folder.parent / REPORT),
        profile=data.profile,
        study=fitted.study.digest(),
        features=len(data.features),
        features_used=int(fitted.fit.used.sum()),
        trees=fitted.fit.rounds,
        split=fitted.split.sentence,
        train={
            "stays": len(fitted.learning),
            "readmissions": int(fitted.learning.outcome.sum()),
        },
        test={
            "stays": evaluation.stays,
            "patients": evaluation.patients,
            "readmissions": evaluation.readmissions,
            "deaths": evaluation.deaths,
            **evaluation.model,
        },
        baselines=evaluation.baselines,
        differences=evaluation.differences,
        gates={gate.gate: gate.passed or gate.waived for gate in registered.gates},
        strongest=list(found.explanation.strongest),
        seconds=phase.seconds,
    )


def _findings(
    fitted: Fitted,
    folder: Path,
    incumbent: Incumbent | None,
    records: Sequence[FeatureRecords],
    population: str,
    phase: Phases,
) -> Findings:
    """Judge and explain; the model is saved on the way and asked as it was saved."""
    study, judged, rules = fitted.study, fitted.judged, fitted.study.evaluation
    with phase("evaluate"):
        risks = _risks(fitted, incumbent)
        evaluation = evaluate(
            risks["model"],
            {name: risk for name, risk in risks.items() if name != "model"},
            judged.outcome,
            judged.subjects,
            deaths=int(judged.stays["died_within_horizon"].sum()),
            weeks=_weeks(fitted.data, len(judged)),
            high_from=fitted.high_from,
            rules=rules,
            seed=study.seed,
        )
        run_files.write_model(folder, fitted, evaluation.model, evaluation.baselines, population)
    with phase("subgroups"):
        groups = fairness(
            risks["model"],
            judged.outcome,
            judged.subjects,
            judged.groups(),
            high_from=fitted.high_from,
            rules=rules,
            seed=study.seed,
        )
    with phase("explain"):
        explained, contributions = explain_model(
            load_risk_model(folder),
            fitted.data,
            fitted.split,
            fitted.fit,
            refits=rules.stability_refits,
            seed=study.seed,
            settings=fitted.settings,
        )
        leakage = audit_leakage(
            fitted.learning,
            evaluation.model["auroc"],
            study.gates,
            records=records,
            seed=study.seed,
        )
    with phase("learning curve"):
        learning = learning_curve(
            fitted.data,
            fitted.split,
            fitted.fit,
            rules.learning_shares,
            resamples=rules.resamples,
            seed=study.seed,
            settings=fitted.settings,
        )
    return Findings(evaluation, groups, leakage, explained, contributions, learning, risks)


def _risks(fitted: Fitted, incumbent: Incumbent | None) -> dict[str, Risk]:
    """The model's and the baselines' risks of the test stays."""
    learning, judged = fitted.learning, fitted.judged
    matrix = xgboost.DMatrix(judged.values)
    margin = fitted.fit.booster.predict(matrix, output_margin=True).astype(np.float64)
    risks = {"model": Risk(margin, fitted.platt.probability(margin))}
    for name in ("lace", "hospital"):
        scaled = fit_platt(learning.score(name), learning.outcome)
        points = judged.score(name)
        risks[name] = Risk(points, scaled.probability(points))
    constant = np.full(len(judged), fitted.prevalence)
    risks["prevalence"] = Risk(constant, constant)
    logistic = fit_logistic(
        learning.values, learning.outcome, fitted.split.folds[fitted.split.train]
    ).probability(judged.values)
    risks["logistic"] = Risk(logistic, logistic)
    if incumbent is not None:
        theirs = incumbent.risks(judged.stays["encounter_id"].to_numpy(dtype=object))
        if theirs is not None:
            risks["champion"] = Risk(theirs, theirs)
    return risks


def _write(
    artifacts: Path, fitted: Fitted, found: Findings, mlruns: Path, incumbent: Incumbent | None
) -> None:
    """The findings, the plots and the report, beside the model's folder."""
    facts = run_files.run_facts(fitted, incumbent)
    findings: dict[str, msgspec.Struct] = {
        "run.json": facts,
        "study.json": fitted.study,
        "evaluation.json": found.evaluation,
        "fairness.json": found.fairness,
        "leakage.json": found.leakage,
        "explanation.json": found.explanation,
        "learning.json": found.learning,
    }
    if fitted.search is not None:
        findings["search.json"] = fitted.search
    run_files.write_findings(artifacts, findings)
    run_files.write_plain(
        artifacts,
        {"flow.json": fitted.data.flow, "strongest.json": list(found.explanation.strongest)},
    )
    _draw(artifacts / "plots", fitted, found)
    judge_run(mlruns, artifacts)
    champion = None
    if incumbent is not None:
        folder = tracking.run_folder(mlruns, incumbent.model.version)
        champion = Champion(folder, incumbent.model.version)
    write_report(artifacts, champion)


def _draw(folder: Path, fitted: Fitted, found: Findings) -> None:
    judged = fitted.judged
    records = f"{fitted.data.profile} records"
    source = f"{len(judged):,} test stays, {records}"
    rankings = {
        label: found.risks[name].ranking
        for name, label in (("model", "readmit"), ("lace", "LACE"), ("hospital", "HOSPITAL"))
    }
    drawn = {
        "roc.svg": plots.roc_curve(rankings, judged.outcome, source),
        "precision_recall.svg": plots.precision_recall_curve(rankings, judged.outcome, source),
        "calibration.svg": plots.calibration_curve(found.evaluation.calibration, source),
        "learning.svg": learning_plot(found.learning, source),
        **shap_plots(found.contributions, records, seed=fitted.study.seed),
    }
    folder.mkdir()
    for name, text in drawn.items():
        (folder / name).write_text(text, encoding="utf-8")


def _weeks(data: StudyData, judged: int) -> float | None:
    """Weeks in which as many stays end as the test has; None where dates are shifted per patient.

    Not the weeks that the test spans: it has some of the stays of that time, a fifth of them
    where patients were dealt to it, and a ward meets them all.
    """
    if not data.calendar:
        return None
    discharged = data.stays["discharged"]
    span = max(float((discharged.max() - discharged.min()).total_seconds()) / 604_800, 1 / 7)
    return span * judged / len(data)


def _parameters(fitted: Fitted) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(fitted.settings),
        "seed": fitted.study.seed,
        "resamples": fitted.study.evaluation.resamples,
        "trials": 0 if fitted.search is None else len(fitted.search.trials),
        "trees": fitted.fit.rounds,
        "features": len(fitted.data.features),
        "features_used": int(fitted.fit.used.sum()),
        "horizon_days": fitted.data.horizon_days,
        "train_stays": int(fitted.split.train.sum()),
        "test_stays": int(fitted.split.test.sum()),
        "calibration_slope_fitted": fitted.platt.slope,
        "calibration_intercept_fitted": fitted.platt.intercept,
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
