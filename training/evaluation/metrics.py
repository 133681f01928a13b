"""Discrimination, accuracy and calibration for many weightings of the same stays at once.

Every function takes ``weights`` of shape resamples x stays and returns one number a resample. A
bootstrap resample of patients is nothing but such a weighting: how often each patient was drawn.
One sort then serves a thousand resamples. NaN means that a resample cannot say, for instance when
it holds no readmission.

AUROC counts ties as half. AUPRC is average precision: the precision at each distinct risk,
weighted by the recall gained there, without interpolation. Calibration follows Van Calster 2019,
doi:10.1186/s12916-019-1466-7: the slope is that of a logistic regression of the outcome on the
log-odds, the intercept (calibration in the large) that of one with the slope fixed at 1.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from training.study_data import BoolArray, FloatArray

_NEWTON_STEPS = 30
_LARGEST_SLOPE = 50.0
"""Beyond it the outcomes of a resample are separated and there is no slope."""
_SMALLEST_RISK = 1e-9


def auroc(score: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Probability that a stay with a readmission scores above one without."""
    positive, negative = _by_score(score, outcome, weights)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * (below + negative / 2)).sum(axis=1), pairs)


def average_precision(score: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Area under the precision-recall curve."""
    positive, negative = _by_score(-score, outcome, weights)
    found = np.cumsum(positive, axis=1)
    precision = _ratio(found, found + np.cumsum(negative, axis=1))
    total = (positive * np.nan_to_num(precision)).sum(axis=1)
    return _ratio(total, positive.sum(axis=1))


def brier(probability: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Mean squared distance of risk and outcome."""
    return _ratio(weights @ (probability - outcome) ** 2, weights.sum(axis=1))


def log_loss(probability: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Mean negative log likelihood."""
    odds = log_odds(probability)
    return _ratio(weights @ (np.logaddexp(0, odds) - outcome * odds), weights.sum(axis=1))


def calibration_slope(
    probability: FloatArray, outcome: BoolArray, weights: FloatArray
) -> FloatArray:
    """1 is ideal; below 1 the risks are too extreme, above 1 too timid."""
    odds = log_odds(probability)
    if np.ptp(odds) < 1e-12:
        return np.full(len(weights), np.nan)
    slope, intercept = np.ones(len(weights)), np.zeros(len(weights))
    change = np.full(len(weights), np.inf)
    for _ in range(_NEWTON_STEPS):
        p = expit(slope[:, None] * odds + intercept[:, None])
        residual = weights * (outcome - p)
        curvature = weights * p * (1 - p)
        c0, c1, c2 = curvature.sum(axis=1), curvature @ odds, curvature @ odds**2
        g0, g1 = residual.sum(axis=1), residual @ odds
        determinant = c0 * c2 - c1**2
        step = _ratio(c0 * g1 - c1 * g0, determinant)
        intercept = intercept + np.clip(_ratio(c2 * g0 - c1 * g1, determinant), -5, 5)
        slope = slope + np.clip(step, -5, 5)
        change = np.abs(step)
        if np.all((change < 1e-9) | np.isnan(change)):
            break
    settled = (change < 1e-6) & (np.abs(slope) < _LARGEST_SLOPE)
    return np.where(settled, slope, np.nan)


def calibration_intercept(
    probability: FloatArray, outcome: BoolArray, weights: FloatArray
) -> FloatArray:
    """0 is ideal; above 0 the risks are too low on the whole, below 0 too high."""
    odds = log_odds(probability)
    events = weights @ outcome
    possible = (events > 0) & (events < weights.sum(axis=1))
    intercept = np.zeros(len(weights))
    for _ in range(_NEWTON_STEPS):
        p = expit(odds + intercept[:, None])
        step = _ratio(events - (weights * p).sum(axis=1), (weights * p * (1 - p)).sum(axis=1))
        intercept = intercept + np.clip(step, -2, 2)
        if np.all((np.abs(step) < 1e-9) | ~possible):
            break
    return np.where(possible, intercept, np.nan)


def log_odds(probability: FloatArray) -> FloatArray:
    """Log-odds of risks, kept finite."""
    bounded = np.clip(probability, _SMALLEST_RISK, 1 - _SMALLEST_RISK)
    return np.asarray(np.log(bounded / (1 - bounded)), dtype=np.float64)


def _by_score(
    score: FloatArray, outcome: BoolArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weight with and without the outcome at each distinct score, ascending."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    sorted_weights, sorted_outcome = weights[:, order], outcome[order]
    return (
        np.add.reduceat(sorted_weights * sorted_outcome, starts, axis=1),
        np.add.reduceat(sorted_weights * ~sorted_outcome, starts, axis=1),
    )


def _ratio(numerator: npt.NDArray[np.float64], denominator: FloatArray) -> FloatArray:
    """The quotient, NaN where the denominator is 0."""
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
