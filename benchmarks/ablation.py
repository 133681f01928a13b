"""What each part of a model adds: declared and vocabulary features, constraints, calibration.

Peers: the same study without the part, fitted on the same training stays and judged on the same
resamples of the same test patients. A simulated hospital: what a part adds on real records must be
measured there, with this same code (``ablation(data, study)``).
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import xgboost
from scipy.special import expit

from benchmarks.measuring import Result, figure
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.evaluation.evaluate import evaluate
from training.evaluation.measures import Risk
from training.findings import Evaluation
from training.fitted import Fitted, fit_study
from training.simulated_hospital import simulate
from training.study import Study
from training.study_data import StudyData
from training.vocabulary import VocabularyRules

PATIENTS, HOSPITAL_SEED = 8_000, 11
SHOWN = ("auroc", "log_loss", "calibration_slope")
WITHOUT = {
    "vocabulary": "without vocabulary features",
    "declared": "without declared features",
    "constraints": "without monotone constraints",
    "calibration": "without calibration",
}


def run(folder: Path) -> list[Result]:
    """Simulate a hospital and take the parts away one by one."""
    records, store = folder / "records", folder / "store"
    profile = load_profile("simulated")
    simulate(records, PATIENTS, HOSPITAL_SEED)
    ingest([records], store, profile)
    with open_store(store) as opened:
        data = study_data(opened, profile, CohortRules(), vocabulary=VocabularyRules())
    found = ablation(data, Study())
    results = [
        figure(f"whole model, {measure} (simulated)", _value(found.model[measure].value), "")
        for measure in SHOWN
    ]
    for name, words in WITHOUT.items():
        for measure in SHOWN:
            there = found.baselines[name][measure]
            gained = found.differences[name].get(measure)
            detail = f"{words}: {_value(there.value):.3f}"
            if gained is None or gained.value is None:
                results.append(figure(f"{words}, {measure}", _value(there.value), "", detail))
                continue
            detail += f"; interval {_value(gained.low):.4f} to {_value(gained.high):.4f}"
            results.append(figure(f"{name} adds in {measure}", gained.value, "", detail))
    return results


def ablation(data: StudyData, study: Study) -> Evaluation:
    """The whole model and, as its baselines, the same study without each part.

    Args:
        data: the matrix, with declared and with vocabulary features.
        study: every choice.
    """
    with tempfile.TemporaryDirectory(prefix="readmit-") as searches:

        def fitted(variant: StudyData) -> Fitted:
            return fit_study(variant, study, Path(searches))

        vocabulary = np.array([feature.family == "vocabulary" for feature in data.features])
        free = tuple(msgspec.structs.replace(f, direction="either") for f in data.features)
        whole = fitted(data)
        margin = _margin(whole)
        uncalibrated = expit(margin)
        risks = {
            "vocabulary": _risk(fitted(_columns(data, ~vocabulary))),
            "declared": _risk(fitted(_columns(data, vocabulary))),
            "constraints": _risk(fitted(replace(data, features=free))),
            "calibration": Risk(margin, uncalibrated),
        }
    judged = whole.judged
    return evaluate(
        _risk(whole),
        risks,
        judged.outcome,
        judged.subjects,
        deaths=int(judged.stays["died_within_horizon"].sum()),
        weeks=None,
        high_from=whole.high_from,
        rules=study.evaluation,
        seed=study.seed,
    )


def _columns(data: StudyData, kept: np.ndarray) -> StudyData:
    features = tuple(f for f, keep in zip(data.features, kept, strict=True) if keep)
    return replace(data, features=features, values=data.values[:, kept])


def _margin(fitted: Fitted) -> np.ndarray:
    matrix = xgboost.DMatrix(fitted.judged.values)
    return fitted.fit.booster.predict(matrix, output_margin=True).astype(np.float64)


def _risk(fitted: Fitted) -> Risk:
    margin = _margin(fitted)
    return Risk(margin, fitted.platt.probability(margin))


def _value(number: float | None) -> float:
    return float("nan") if number is None else number
