"""When the readmissions of the training stays happened: the curve that a model's risks age by.

Stays of a study have their whole horizon on record, so that no time is censored: the shares are
counted. A death or a planned return before a readmission is no censoring but an end (a competing
event): the cohort's label is false then, and the curve counts it among those who left.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from training.evaluation.resampling import estimates
from training.return_curve import ReturnCurve
from training.study_data import FloatArray, StudyData

FEWEST_READMISSIONS = 20
"""With fewer a single readmission is more than a twentieth of the curve, and none is kept."""
RETURN, LEAVING = "days_to_readmission", "days_to_leaving"


def return_curve(data: StudyData, *, resamples: int, seed: int) -> ReturnCurve | None:
    """The shares of readmissions, and of other ends, by each day of the horizon.

    The intervals resample the patients who were readmitted, each with all their readmissions.

    Args:
        data: the training stays.
        resamples: how many times the patients are drawn.
        seed: of the draws.

    Returns:
        None where the stays do not say when, or too few were readmitted. Readmissions without a
        day (labels of an external cohort that the records do not bear out) are left out.
    """
    if RETURN not in data.stays or LEAVING not in data.stays:
        return None
    days = data.stays[RETURN].to_numpy(dtype=np.float64)
    known = data.outcome & ~np.isnan(days)
    if known.sum() < FEWEST_READMISSIONS:
        return None
    horizon = np.arange(data.horizon_days + 1)
    happened = _by_day(days[known], horizon)

    def measure(weights: FloatArray) -> dict[int, FloatArray]:
        shares = weights @ happened / weights.sum(axis=1, keepdims=True)
        return dict(enumerate(shares.T))

    found = estimates(measure, data.subjects[known], resamples=resamples, seed=seed)
    intervals = [found[day].interval() for day in horizon.tolist()]
    # A study has stays without a readmission, or no model could be calibrated.
    leaving = data.stays[LEAVING].to_numpy(dtype=np.float64)[~data.outcome]
    return ReturnCurve(
        returned=tuple(each.value or 0.0 for each in intervals),
        low=tuple(each.low or 0.0 for each in intervals),
        high=tuple(each.high or 0.0 for each in intervals),
        left=tuple(_by_day(leaving, horizon).mean(axis=0).tolist()),
        readmissions=int(known.sum()),
    )


def _by_day(days: FloatArray, horizon: npt.NDArray[Any]) -> FloatArray:
    """Whether each has happened by each day, 0 or 1; never where the day is not known."""
    with np.errstate(invalid="ignore"):
        return (days[:, None] <= horizon[None, :]).astype(np.float64)
