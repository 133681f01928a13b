"""How well risks hold on the test stays, beside LACE, HOSPITAL and the prevalence.

Stays of one patient resemble each other. Intervals therefore resample patients, not stays, and
differences compare two risks on the same resamples. LACE and HOSPITAL rank the test stays by their
points. For Brier score, log loss and calibration the points become a probability by a logistic
regression fitted on the training part: recalibrated to this hospital, which flatters them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from training.evaluation import metrics
from training.risk_model import Interval
from training.study_data import BoolArray, FloatArray

_CELLS = 4_000_000
"""Weights held at once: some 30 MB of resamples x stays."""

Measure = Callable[[FloatArray, BoolArray, FloatArray], FloatArray]

RANKING: dict[str, Measure] = {"auroc": metrics.auroc, "auprc": metrics.average_precision}
"""Measures that need only an order."""
PROBABILITY: dict[str, Measure] = {
    "brier": metrics.brier,
    "log_loss": metrics.log_loss,
    "calibration_slope": metrics.calibration_slope,
    "calibration_intercept": metrics.calibration_intercept,
}
"""Measures that need a probability."""
COMPARED = ("auroc", "auprc", "brier", "log_loss")
"""Measures of which a difference between two risks means something."""


@dataclass(frozen=True)
class Risk:
    """What a model or a score says of each test stay: an order, and a probability."""

    ranking: FloatArray
    probability: FloatArray


class Evaluation(msgspec.Struct, frozen=True):
    """Measures of the model, of the baselines, and the model's minus each baseline's."""

    stays: int
    patients: int
    readmissions: int
    resamples: int
    model: dict[str, Interval]
    baselines: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]


def evaluate(
    model: Risk,
    baselines: Mapping[str, Risk],
    outcome: BoolArray,
    subjects: npt.NDArray[np.object_],
    *,
    resamples: int,
    seed: int,
) -> Evaluation:
    """Measure the model and the baselines with intervals from resampled patients.

    The value is that of the test stays as they are; the interval runs from the 2.5 % to the 97.5 %
    quantile of the resamples. Where more than a twentieth of the resamples cannot say (no slope in
    separated data, say) there is no interval.

    Args:
        model: risks of the test stays.
        baselines: risks of the same stays by name.
        outcome: what happened.
        subjects: the patient of each stay.
        resamples: how many times the patients are drawn.
        seed: of the draws.
    """
    risks = {"": model, **baselines}
    as_is = np.ones((1, len(outcome)))
    values = _measures(risks, outcome, as_is)
    draws = [
        _measures(risks, outcome, weights)
        for weights in _resampled_patients(subjects, resamples, seed)
    ]
    drawn = {
        name: {key: np.concatenate([draw[name][key] for draw in draws]) for key in measures}
        for name, measures in values.items()
    }
    intervals = {
        name: {key: _interval(values[name][key], drawn[name][key]) for key in measures}
        for name, measures in values.items()
    }
    differences = {
        name: {
            key: _interval(values[""][key] - values[name][key], drawn[""][key] - drawn[name][key])
            for key in COMPARED
        }
        for name in baselines
    }
    return Evaluation(
        stays=len(outcome),
        patients=len(np.unique(subjects.astype(str))),
        readmissions=int(outcome.sum()),
        resamples=resamples,
        model=intervals.pop(""),
        baselines=intervals,
        differences=differences,
    )


def _measures(
    risks: Mapping[str, Risk], outcome: BoolArray, weights: FloatArray
) -> dict[str, dict[str, FloatArray]]:
    return {
        name: {
            **{key: measure(risk.ranking, outcome, weights) for key, measure in RANKING.items()},
            **{
                key: measure(risk.probability, outcome, weights)
                for key, measure in PROBABILITY.items()
            },
        }
        for name, risk in risks.items()
    }


def _resampled_patients(
    subjects: npt.NDArray[np.object_], resamples: int, seed: int
) -> Iterator[FloatArray]:
    """Weights, some resamples at a time: how often the patient of each stay was drawn."""
    unique, patient = np.unique(subjects.astype(str), return_inverse=True)
    random = np.random.default_rng(seed)
    even = np.full(len(unique), 1 / len(unique))
    at_once = max(1, _CELLS // len(subjects))
    for start in range(0, resamples, at_once):
        times = random.multinomial(len(unique), even, size=min(at_once, resamples - start))
        yield times[:, patient].astype(np.float64)


def _interval(value: FloatArray, drawn: FloatArray) -> Interval:
    point = float(value[0])
    if not np.isfinite(point):
        return Interval(None, None, None)
    known = drawn[np.isfinite(drawn)]
    if len(known) == 0 or len(known) < 0.95 * len(drawn):
        return Interval(point, None, None)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(point, float(low), float(high))
