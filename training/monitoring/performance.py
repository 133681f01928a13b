"""How well risks hold: measured where the outcome is known, estimated from the risks where not.

The estimate counts every stay twice: as readmitted, with its risk for a weight, and as not
readmitted, with the rest. Measures of such a sample are those to be expected if the risks are
calibrated (confidence-based performance estimation: Kivimäki 2025, arXiv:2407.08649; implemented
in NannyML). It sees a change of the patients. It cannot see that the same patients have become
likelier to return: then the risks are no longer calibrated, and the estimate is wrong with them.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from training.evaluation import metrics
from training.evaluation.resampling import estimates
from training.findings import Measures
from training.monitoring.findings import Month
from training.study_data import BoolArray, FloatArray

ASSUMPTION = (
    "An estimate from the risks alone, before outcomes are known. It assumes that the model is "
    "still calibrated: that of stays with a risk of 20 % one in five is followed by a readmission."
)
_NORMAL = 1.96
_FEWEST_MONTHS = 6
"""Before a spread between months can be told from chance."""
_SECOND = 1_000_000


def measured(
    risks: FloatArray,
    outcome: BoolArray,
    subjects: npt.NDArray[Any],
    high_from: float,
    *,
    resamples: int,
    seed: int,
) -> Measures:
    """Discrimination, calibration and the high band, with intervals from resampled patients.

    Args:
        risks: of stays whose outcome is known.
        outcome: what happened.
        subjects: the patient of each stay.
        high_from: the lowest risk of the high band.
        resamples: how many times the patients are drawn.
        seed: of the draws.
    """

    def measure(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            **_discrimination(risks, outcome, weights, high_from),
            "calibration_slope": metrics.calibration_slope(risks, outcome, weights),
            "calibration_intercept": metrics.calibration_intercept(risks, outcome, weights),
            "observed_to_expected": _quotient(weights @ outcome, weights @ risks),
        }

    found = estimates(measure, subjects, resamples=resamples, seed=seed)
    return {name: estimate.interval() for name, estimate in found.items()}


def estimated(
    risks: FloatArray,
    subjects: npt.NDArray[Any],
    high_from: float,
    *,
    resamples: int,
    seed: int,
) -> Measures:
    """What to expect of the same measures if the risks are calibrated.

    The intervals resample patients: they show how the mix of patients moves the estimate, not
    whether calibration holds. Arguments as for ``measured``.
    """
    twice = np.concatenate([risks, risks])
    outcome = np.repeat([True, False], len(risks))

    def measure(weights: FloatArray) -> dict[str, FloatArray]:
        shared = np.concatenate([weights * risks, weights * (1 - risks)], axis=1)
        return {
            **_discrimination(twice, outcome, shared, high_from),
            "readmission_rate": _quotient(weights @ risks, weights.sum(axis=1)),
        }

    found = estimates(measure, subjects, resamples=resamples, seed=seed)
    return {name: estimate.interval() for name, estimate in found.items()}


def by_month(
    risks: FloatArray, outcome: BoolArray, discharged: npt.NDArray[np.int64]
) -> tuple[Month, ...]:
    """Observed and expected readmissions by the month of discharge.

    Months differ by more than chance: holidays, influenza, staffing. The interval is therefore
    widened by the spread of the months themselves, robustly: z-scores are winsorised at their
    tenths, and their mean square is the factor by which chance alone is too small a variance
    (Spiegelhalter 2005, doi:10.1002/sim.1970). With fewer than six months there is no such
    estimate, and chance alone stands.

    Args:
        risks: of stays whose outcome is known.
        outcome: what happened.
        discharged: microseconds UTC.
    """
    months = np.array([_month(at) for at in discharged.tolist()])
    names = np.unique(months)
    inside = [months == name for name in names]
    expected = np.array([risks[each].sum() for each in inside])
    variance = np.array([(risks[each] * (1 - risks[each])).sum() for each in inside])
    observed = np.array([int(outcome[each].sum()) for each in inside])
    spread = 1.0
    if len(names) >= _FEWEST_MONTHS:
        scores = (observed - expected) / np.sqrt(variance)
        low, high = np.quantile(scores, [0.1, 0.9])
        spread = max(1.0, float((np.clip(scores, low, high) ** 2).mean()))
    half = _NORMAL * np.sqrt(variance * spread)
    return tuple(
        Month(
            month=str(name),
            stays=int(each.sum()),
            observed=int(seen),
            expected=float(should),
            low=max(0.0, float(should - width)),
            high=float(should + width),
        )
        for name, each, seen, should, width in zip(
            names, inside, observed, expected, half, strict=True
        )
    )


def _discrimination(
    risks: FloatArray, outcome: BoolArray, weights: FloatArray, high_from: float
) -> dict[str, FloatArray]:
    high = (risks >= high_from).astype(np.float64)
    return {
        "auroc": metrics.auroc(risks, outcome, weights),
        "brier": metrics.brier(risks, outcome, weights),
        "ppv": metrics.positive_predictive_value(high, outcome, weights),
        "sensitivity": metrics.sensitivity(high, outcome, weights),
    }


def _quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _month(at: int) -> str:
    return datetime.fromtimestamp(at / _SECOND, UTC).strftime("%Y-%m")
