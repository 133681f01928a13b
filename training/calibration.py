"""From a model's margin to a probability: Platt scaling, which keeps contributions additive.

``logit p = a * m + b`` multiplies every contribution to the margin by the same ``a`` and moves the
baseline by ``b``; an isotonic step would break that sum.

It is fitted on out-of-fold margins of the training part. Each comes from a model that has not seen
the patient, and together they are as many as the training stays. A separate calibration part of a
fifth of the stays has, by the same token, an error of slope more than twice as large. The price:
fold models learn from four fifths of the data, and are a little less sharp than the final one.

Reference: Platt 1999, Probabilistic outputs for support vector machines; Lin, Lin and Weng 2007,
doi:10.1007/s10994-007-5018-6 (targets and Newton's method).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fhir_mappings.errors import StudyError
from training.study_data import BoolArray, FloatArray

SMALLEST_SLOPE = 0.01
"""A slope at or below zero would turn every explanation round. A model whose out-of-fold margins
rank no better than chance gets this slope instead: nearly the prevalence for everyone."""
LARGEST_SLOPE = 100.0
"""Perfectly separated margins would drive the slope to infinity."""
_STEPS = 100


@dataclass(frozen=True)
class Platt:
    """``logit p = slope * margin + intercept``."""

    slope: float
    intercept: float

    def log_odds(self, margin: npt.ArrayLike) -> FloatArray:
        """Calibrated log-odds of margins."""
        return self.slope * np.asarray(margin, dtype=np.float64) + self.intercept

    def probability(self, margin: npt.ArrayLike) -> FloatArray:
        """Calibrated probabilities of margins."""
        return np.asarray(expit(self.log_odds(margin)), dtype=np.float64)


def fit_platt(margin: npt.ArrayLike, outcome: BoolArray) -> Platt:
    """The slope and intercept of maximum likelihood, with Platt's softened targets.

    The targets, (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) in place of 1 and 0, keep the likelihood's
    maximum finite when a few outcomes happen to be separated, and vanish as data grow.

    Args:
        margin: what to calibrate: a model's log-odds, or the points of a score.
        outcome: what happened, both classes present.

    Raises:
        StudyError: if one class is absent.
    """
    x = np.asarray(margin, dtype=np.float64)
    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    if positives == 0 or negatives == 0:
        raise StudyError("calibration needs stays with and without a readmission")
    target = np.where(outcome, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    spread = float(x.std())
    if spread < 1e-12:
        return Platt(SMALLEST_SLOPE, _intercept(SMALLEST_SLOPE * x, target))
    # Standardised, so that the 2x2 system is well conditioned for margins and for points alike.
    slope, intercept = _newton((x - x.mean()) / spread, target)
    bounded = min(max(slope / spread, SMALLEST_SLOPE), LARGEST_SLOPE)
    if bounded != slope / spread:
        return Platt(bounded, _intercept(bounded * x, target))
    return Platt(bounded, intercept - bounded * float(x.mean()))


def _loss(log_odds: FloatArray, target: FloatArray) -> float:
    return float((np.logaddexp(0, log_odds) - target * log_odds).sum())


def _newton(x: FloatArray, target: FloatArray) -> tuple[float, float]:
    """Newton's method, halving a step that does not lower the loss."""
    design = np.column_stack([x, np.ones_like(x)])
    mean = float(target.mean())
    at = np.array([0.0, np.log(mean / (1 - mean))])
    loss = _loss(design @ at, target)
    for _ in range(_STEPS):
        p = expit(design @ at)
        gradient = design.T @ (p - target)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (lower := _loss(design @ (at - step), target)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        at, loss = at - step, lower
        if np.abs(step).max() < 1e-10:
            break
    return float(at[0]), float(at[1])


def _intercept(offset: FloatArray, target: FloatArray) -> float:
    """The intercept alone, by bisection: its equation is monotone, so this cannot diverge."""
    low, high = -float(offset.max()) - 40.0, -float(offset.min()) + 40.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if float(expit(offset + middle).sum()) < float(target.sum()):
            low = middle
        else:
            high = middle
    return (low + high) / 2
