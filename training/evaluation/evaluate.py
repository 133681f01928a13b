"""How well risks hold on the test stays, beside LACE, HOSPITAL and other peers.

LACE and HOSPITAL rank the test stays by their points. For Brier score, log loss, calibration and
the high band the points become a probability by a logistic regression fitted on the training part:
recalibrated to this hospital, which flatters them. Differences compare two risks on the same
resampled patients.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from training.evaluation.capacity import capacities
from training.evaluation.curves import calibration_curve, decision_curve
from training.evaluation.measures import COMPARED, Risk, measure_risk
from training.evaluation.resampling import estimates
from training.findings import Evaluation, Measures
from training.study import EvaluationRules
from training.study_data import BoolArray, FloatArray


def evaluate(
    model: Risk,
    baselines: Mapping[str, Risk],
    outcome: BoolArray,
    subjects: npt.NDArray[Any],
    *,
    deaths: int,
    weeks: float | None,
    high_from: float,
    rules: EvaluationRules,
    seed: int,
) -> Evaluation:
    """Measure the model and its peers, with 95 % intervals from resampled patients.

    Args:
        model: risks of the test stays.
        baselines: risks of the same stays by name: lace, hospital, prevalence and so on.
        outcome: what happened.
        subjects: the patient of each stay.
        deaths: patients who died within the horizon without a readmission.
        weeks: in which as many stays end as are measured here; None where dates are shifted per
            patient.
        high_from: the lowest probability of the high band.
        rules: resamples, capacities.
        seed: of the draws.
    """
    risks = {"": model, **baselines}

    def measure(weights: FloatArray) -> dict[tuple[str, str], FloatArray]:
        return {
            (name, key): drawn
            for name, risk in risks.items()
            for key, drawn in measure_risk(risk, outcome, weights, high_from).items()
        }

    measured = estimates(measure, subjects, resamples=rules.resamples, seed=seed)
    keys = [key for name, key in measured if name == ""]

    def intervals(name: str) -> Measures:
        return {key: measured[name, key].interval() for key in keys}

    return Evaluation(
        stays=len(outcome),
        patients=len(np.unique(subjects.astype(str))),
        readmissions=int(outcome.sum()),
        deaths=deaths,
        weeks=weeks,
        resamples=rules.resamples,
        model=intervals(""),
        baselines={name: intervals(name) for name in baselines},
        differences={
            name: {key: (measured["", key] - measured[name, key]).interval() for key in COMPARED}
            for name in baselines
        },
        calibration=calibration_curve(model.probability, outcome, subjects, seed=seed),
        net_benefit=decision_curve(
            model, baselines, outcome, subjects, resamples=rules.resamples, seed=seed
        ),
        capacities=capacities(
            model, baselines, outcome, subjects, weeks=weeks, rules=rules, seed=seed
        ),
    )
