"""The true risk of an unplanned return within 30 days.

At each discharge: logit(risk) = intercept + sum of contributions + frailty. A contribution comes
from a value that the records show at discharge; frailty is the stay's own, normal, and shown by no
record. The best that any model can do is therefore the *observable risk*: the expectation of the
true risk over frailty, given the contributions.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from training.simulated_hospital.parameters import Driver

Floats = npt.NDArray[np.float64]


def contribution(driver: Driver, value: float | None) -> float:
    """Return what a driver's value adds to the log-odds; a missing value adds nothing."""
    if value is None:
        return 0.0
    if driver.shape == "below":
        shaped = min(max(driver.threshold - value, 0.0), driver.cap)
    else:
        shaped = min(value, driver.cap)
        if driver.shape == "log1p":
            shaped = math.log1p(shaped)
    return driver.beta * (shaped - driver.centre)


def contributions(
    drivers: tuple[Driver, ...], values: Mapping[str, float | None]
) -> tuple[float, ...]:
    """Return the contribution of each driver, in their order."""
    return tuple(contribution(driver, values[driver.name]) for driver in drivers)


def probability(log_odds: float) -> float:
    """Return the probability of these log-odds."""
    return 1.0 / (1.0 + math.exp(-log_odds))


def observable_risk(log_odds: Floats, frailty_sd: float | Floats) -> Floats:
    """Return E[sigmoid(log_odds + frailty)] for each stay, by Gauss-Hermite quadrature.

    ``log_odds``: intercept and contributions, without frailty, shape (stays,). ``frailty_sd``: one
    for all stays, or one each.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    spread = np.broadcast_to(frailty_sd, log_odds.shape)
    shifted = log_odds[:, None] + spread[:, None] * nodes[None, :]
    risks: Floats = (1.0 / (1.0 + np.exp(-shifted))) @ (weights / weights.sum())
    return risks


def auroc(risk: Floats, outcome: npt.NDArray[np.bool_]) -> float:
    """Return how often a stay with a return has the higher risk (ties count half).

    NaN where all outcomes are the same.
    """
    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    if not positives or not negatives:
        return math.nan
    ranks = rankdata(risk)
    rank_sum = float(ranks[outcome].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
