"""Which measures a risk is held to, by the names that reports and gates know them by."""

from collections.abc import Callable
from dataclasses import dataclass

from training.evaluation import metrics
from training.study_data import BoolArray, FloatArray

Measure = Callable[[FloatArray, BoolArray, FloatArray], FloatArray]

RANKING: dict[str, Measure] = {"auroc": metrics.auroc, "auprc": metrics.average_precision}
"""Measures that need only an order."""
PROBABILITY: dict[str, Measure] = {
    "brier": metrics.brier,
    "scaled_brier": metrics.scaled_brier,
    "log_loss": metrics.log_loss,
    "calibration_slope": metrics.calibration_slope,
    "calibration_intercept": metrics.calibration_intercept,
}
"""Measures that need a probability."""
HIGH_BAND: dict[str, Measure] = {
    "ppv": metrics.positive_predictive_value,
    "sensitivity": metrics.sensitivity,
    "specificity": metrics.specificity,
    "flagged": metrics.share_flagged,
}
"""Measures of acting on the stays of the high band."""
COMPARED = ("auroc", "auprc", "brier", "scaled_brier", "log_loss")
"""Measures of which a difference between two risks means something."""


@dataclass(frozen=True)
class Risk:
    """What a model or a score says of each test stay: an order, and a probability."""

    ranking: FloatArray
    probability: FloatArray


def measure_risk(
    risk: Risk, outcome: BoolArray, weights: FloatArray, high_from: float
) -> dict[str, FloatArray]:
    """Every measure of a risk, a number a resample.

    Args:
        risk: of each stay.
        outcome: what happened after each stay.
        weights: resamples x stays.
        high_from: the lowest probability of the high band.
    """
    high = (risk.probability >= high_from).astype(float)
    return {
        **{name: of(risk.ranking, outcome, weights) for name, of in RANKING.items()},
        **{name: of(risk.probability, outcome, weights) for name, of in PROBABILITY.items()},
        **{name: of(high, outcome, weights) for name, of in HIGH_BAND.items()},
    }
