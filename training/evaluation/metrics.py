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

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from training.study_data import BoolArray, FloatArray

_NEWTON_STEPS = 30
_SMALL_STEP = 1e-7
"""Newton's method squares the error: what remains after a step this small is rounding."""
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


def scaled_brier(probability: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """1 less the Brier score over that of the prevalence: 1 is perfect, 0 no better than it.

    Steyerberg 2010, doi:10.1097/EDE.0b013e3181c30fb2.
    """
    prevalence = _ratio(weights @ outcome, weights.sum(axis=1))
    return 1 - _ratio(brier(probability, outcome, weights), prevalence * (1 - prevalence))


def log_loss(probability: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Mean negative log likelihood."""
    odds = log_odds(probability)
    return _ratio(weights @ (np.logaddexp(0, odds) - outcome * odds), weights.sum(axis=1))


def calibration_slope(
    probability: FloatArray, outcome: BoolArray, weights: FloatArray
) -> FloatArray:
    """1 is ideal; below 1 the risks are too extreme, above 1 too timid.

    NaN where the outcomes are separated: no finite slope is the most likely then.
    """
    odds = log_odds(probability)
    prevalence = _ratio(weights @ outcome, weights.sum(axis=1))
    possible = _overlap(odds, outcome, weights)
    # From a slope of 0, Newton's method is safe also where few stays decide.
    intercept = log_odds(np.where(possible, prevalence, 0.5))
    slope = np.zeros(len(weights))
    powers = np.column_stack([np.ones(len(odds)), odds, odds**2])
    happened = weights @ (outcome[:, None] * powers[:, :2])
    step = np.full(len(weights), np.inf)
    for _ in range(_NEWTON_STEPS):
        p = expit(slope[:, None] * odds + intercept[:, None])
        expected = weights * p
        g0, g1 = (happened - expected @ powers[:, :2]).T
        c0, c1, c2 = ((expected * (1 - p)) @ powers).T
        determinant = c0 * c2 - c1**2
        step = _ratio(c0 * g1 - c1 * g0, determinant)
        intercept = intercept + np.clip(_ratio(c2 * g0 - c1 * g1, determinant), -5, 5)
        slope = slope + np.clip(step, -5, 5)
        if np.all((np.abs(step) < _SMALL_STEP) | ~possible):
            break
    settled = possible & (np.abs(step) < _SMALL_STEP) & (np.abs(slope) < _LARGEST_SLOPE)
    return np.where(settled, slope, np.nan)


def _overlap(odds: FloatArray, outcome: BoolArray, weights: FloatArray) -> BoolArray:
    """Whether neither outcome has all its log-odds on one side of the other's.

    Otherwise the likelihood has no maximum: Albert and Anderson 1984, doi:10.1093/biomet/71.1.1.
    """
    drawn = weights > 0

    def ends(part: BoolArray) -> tuple[FloatArray, FloatArray]:
        among = np.where(drawn[:, part], odds[part], np.nan)
        low = np.fmin.reduce(among, axis=1, initial=np.inf)
        return low, np.fmax.reduce(among, axis=1, initial=-np.inf)

    (lowest_with, highest_with), (lowest_without, highest_without) = ends(outcome), ends(~outcome)
    return np.asarray((lowest_with < highest_without) & (lowest_without < highest_with))


def calibration_intercept(
    probability: FloatArray, outcome: BoolArray, weights: FloatArray
) -> FloatArray:
    """0 is ideal; above 0 the risks are too low on the whole, below 0 too high."""
    odds = log_odds(probability)
    events = weights @ outcome
    possible = (events > 0) & (events < weights.sum(axis=1))
    intercept, step = np.zeros(len(weights)), np.full(len(weights), np.inf)
    for _ in range(_NEWTON_STEPS):
        p = expit(odds + intercept[:, None])
        expected = weights * p
        step = _ratio(events - expected.sum(axis=1), (expected * (1 - p)).sum(axis=1))
        intercept = intercept + np.clip(step, -2, 2)
        if np.all((np.abs(step) < _SMALL_STEP) | ~possible):
            break
    return np.where(possible & (np.abs(step) < _SMALL_STEP), intercept, np.nan)


def positive_predictive_value(
    high: FloatArray, outcome: BoolArray, weights: FloatArray
) -> FloatArray:
    """Readmissions among the stays that are flagged. ``high`` is 1 for those and 0 for others."""
    return _ratio(weights @ (high * outcome), weights @ high)


def sensitivity(high: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Flagged stays among those with a readmission."""
    return _ratio(weights @ (high * outcome), weights @ outcome)


def specificity(high: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Stays that are not flagged among those without a readmission."""
    return _ratio(weights @ ((1 - high) * ~outcome), weights @ ~outcome)


def share_flagged(high: FloatArray, outcome: BoolArray, weights: FloatArray) -> FloatArray:
    """Flagged stays among all; the outcome has no part in it."""
    del outcome
    return _ratio(weights @ high, weights.sum(axis=1))


def net_benefit(
    probability: FloatArray, outcome: BoolArray, weights: FloatArray, thresholds: Sequence[float]
) -> FloatArray:
    """Readmissions flagged, less needless flags at the threshold's odds, per stay.

    Thresholds x resamples. Vickers and Elkin 2006, doi:10.1177/0272989X06295361.
    """
    at = np.asarray(thresholds, dtype=np.float64)
    flagged = probability[:, None] >= at
    worth = flagged * np.where(outcome[:, None], 1.0, -at / (1 - at))
    return np.asarray((weights @ worth / weights.sum(axis=1)[:, None]).T, dtype=np.float64)


def found_at_the_top(
    score: FloatArray,
    outcome: BoolArray | FloatArray,
    weights: FloatArray,
    shares: Sequence[float],
) -> FloatArray:
    """Readmissions among each share of the stays with the highest scores; shares x resamples.

    Given probabilities in place of the outcome, the readmissions to be expected there.

    Of stays that tie across the boundary, the expected number under every order of them.
    """
    positive, negative = _by_score(-score, outcome, weights)
    tied = positive + negative
    stays, readmitted = np.cumsum(tied, axis=1), np.cumsum(positive, axis=1)
    row = np.arange(len(weights))
    found = np.empty((len(shares), len(weights)))
    for position, share in enumerate(shares):
        room = share * stays[:, -1]
        last = (stays >= room[:, None] - 1e-9).argmax(axis=1)
        unused = stays[row, last] - room
        chance = np.nan_to_num(_ratio(positive[row, last], tied[row, last]))
        found[position] = readmitted[row, last] - unused * chance
    return found


def log_odds(probability: FloatArray) -> FloatArray:
    """Log-odds of risks, kept finite."""
    bounded = np.clip(probability, _SMALLEST_RISK, 1 - _SMALLEST_RISK)
    return np.asarray(np.log(bounded / (1 - bounded)), dtype=np.float64)


def _by_score(
    score: FloatArray, outcome: BoolArray | FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weight with and without the outcome at each distinct score, ascending."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    sorted_weights, sorted_outcome = weights[:, order], outcome[order]
    return (
        np.add.reduceat(sorted_weights * sorted_outcome, starts, axis=1),
        np.add.reduceat(sorted_weights * (1 - sorted_outcome), starts, axis=1),
    )


def _ratio(numerator: npt.NDArray[np.float64], denominator: FloatArray) -> FloatArray:
    """The quotient, NaN where the denominator is 0."""
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
