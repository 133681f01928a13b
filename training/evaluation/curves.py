"""Calibration curve and decision curve."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from statsmodels.nonparametric.smoothers_lowess import lowess
from statsmodels.stats.proportion import proportion_confint

from training.evaluation.measures import Risk
from training.evaluation.metrics import net_benefit
from training.evaluation.resampling import Estimate, estimates, resampled_patients
from training.findings import CalibrationCurve, CalibrationGroup, NetBenefit, SmoothPoint
from training.risk_model import Interval
from training.study_data import BoolArray, FloatArray

THRESHOLDS = tuple(round(0.05 + 0.025 * step, 3) for step in range(19))
"""0.05 to 0.5: to act from 0.05 on is to accept 19 needless follow-ups for each readmission."""
_SPAN = 0.75
"""Share of the stays that each point of the smoothed curve looks at: the default of R's loess,
with which Austin and Steyerberg 2014, doi:10.1002/sim.5941, found the curve to work."""
_SMOOTH_POINTS = 50
_SMOOTH_RESAMPLES = 100
"""Each is a smoothing of its own; a pointwise band in a plot does not need more."""
_FEWEST_IN_GROUP = 20


def calibration_curve(
    probability: FloatArray, outcome: BoolArray, subjects: npt.NDArray[Any], *, seed: int
) -> CalibrationCurve:
    """Observed against predicted risk, in groups of equal size and smoothed by LOESS.

    Groups are tenths of the stays by risk, fewer in small studies so that each has some twenty,
    with 95 % Wilson intervals. Stays of equal risk are in one group. The smoothed curve is drawn
    from the 1 % to the 99 % quantile of the risks: outside, a handful of stays decide. It has no
    points where three quarters of the stays share one risk. Its interval is pointwise, from 100
    resamples of patients.

    Args:
        probability: risks.
        outcome: what happened.
        subjects: the patient of each stay.
        seed: of the resamples.
    """
    return CalibrationCurve(
        _groups(probability, outcome), _smooth(probability, outcome, subjects, seed)
    )


def _groups(probability: FloatArray, outcome: BoolArray) -> tuple[CalibrationGroup, ...]:
    count = int(np.clip(len(outcome) // _FEWEST_IN_GROUP, 2, 10))
    bounds = np.quantile(probability, np.arange(1, count) / count)
    group = np.searchsorted(bounds, probability, side="left")
    found = []
    for each in np.unique(group):
        inside = group == each
        stays, readmitted = int(inside.sum()), int(outcome[inside].sum())
        low, high = proportion_confint(readmitted, stays, method="wilson")
        found.append(
            CalibrationGroup(
                stays,
                float(probability[inside].mean()),
                Interval(readmitted / stays, float(low), float(high)),
            )
        )
    return tuple(found)


def _smooth(
    probability: FloatArray, outcome: BoolArray, subjects: npt.NDArray[Any], seed: int
) -> tuple[SmoothPoint, ...]:
    _, ties = np.unique(probability, return_counts=True)
    if ties.max() >= _SPAN * len(probability):
        return ()
    order = np.argsort(probability, kind="stable")
    risk, happened = probability[order], outcome[order].astype(float)
    at = np.unique(np.quantile(risk, np.linspace(0.01, 0.99, _SMOOTH_POINTS), method="nearest"))
    curve = _loess(risk, happened, at)
    drawn = np.concatenate(
        [
            np.array([_loess(np.repeat(risk, w), np.repeat(happened, w), at) for w in times])
            for times in (
                weights[:, order].astype(np.int64)
                for weights in resampled_patients(subjects, _SMOOTH_RESAMPLES, seed)
            )
        ]
    )
    points = []
    for position, predicted in enumerate(at.tolist()):
        interval = Estimate(float(curve[position]), drawn[:, position]).interval()
        if interval.value is not None:
            points.append(SmoothPoint(predicted, interval.value, interval.low, interval.high))
    return tuple(points)


def _loess(risk: FloatArray, happened: FloatArray, at: FloatArray) -> FloatArray:
    """The curve at some risks, within 0 and 1; NaN where too many stays share one risk to say.

    No reweighting by residuals: of a yes or no, the rarer answer would count as an outlier.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = lowess(happened, risk, frac=_SPAN, it=0, xvals=at, is_sorted=True)
    return np.clip(np.asarray(curve, dtype=np.float64), 0, 1)


def decision_curve(
    model: Risk,
    peers: Mapping[str, Risk],
    outcome: BoolArray,
    subjects: npt.NDArray[Any],
    *,
    resamples: int,
    seed: int,
) -> tuple[NetBenefit, ...]:
    """Net benefit of the model, of its peers and of acting on everyone, at ``THRESHOLDS``.

    Vickers and Elkin 2006, doi:10.1177/0272989X06295361. Arguments as for ``evaluate``.
    """
    risks = {"": model, **peers}

    def measure(weights: FloatArray) -> dict[tuple[str, int], FloatArray]:
        return {
            (name, position): benefit
            for name, risk in risks.items()
            for position, benefit in enumerate(
                net_benefit(risk.probability, outcome, weights, THRESHOLDS)
            )
        }

    measured = estimates(measure, subjects, resamples=resamples, seed=seed)
    prevalence = float(outcome.mean())
    return tuple(
        NetBenefit(
            threshold=threshold,
            everyone=prevalence - (1 - prevalence) * threshold / (1 - threshold),
            model=measured["", position].interval(),
            peers={name: measured[name, position].interval() for name in peers},
        )
        for position, threshold in enumerate(THRESHOLDS)
    )
