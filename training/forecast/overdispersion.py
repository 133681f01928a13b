"""By how much the readmissions of a unit and week differ more than chance alone would have it.

The risks of a unit's patients add up to an expected count, and if the patients came back
independently of each other its variance would be that of a Poisson binomial: the sum of q(1 - q).
Influenza, holidays and staffing move many patients at once. One factor on the variance allows for
that (quasi-likelihood: McCullagh and Nelder 1989, Generalized linear models, chapter 4.5).
"""

import numpy as np

from training.forecast.units import units_of, weeks_of_stays
from training.return_curve import FloatArray, ReturnCurve
from training.return_times import RETURN
from training.study_data import StudyData

_DAY = np.timedelta64(1, "D")


def overdispersion_of(
    data: StudyData, risks: FloatArray, curve: ReturnCurve | None
) -> float | None:
    """The factor, from the training stays and their out-of-fold risks.

    Squared distances of observed from expected counts, over all units and weeks, divided by the sum
    of the variances: so weighted, weeks in which next to nothing is expected do not decide.

    Args:
        data: the training stays.
        risks: of each, from a model that has not seen its patient.
        curve: when readmissions happen; None gives None.

    Returns:
        At least 1; None where dates are shifted per patient, since a week then means nothing.
    """
    if curve is None or not data.calendar:
        return None
    discharged = (
        data.stays["discharged"].dt.tz_localize(None).to_numpy("datetime64[us]")
        - np.datetime64(0, "us")
    ) / _DAY
    came = np.floor((discharged + data.stays[RETURN].to_numpy(dtype=np.float64)) / 7)
    _, unit = np.unique(units_of(data.stays).astype(str), return_inverse=True)
    origin = int(np.floor(discharged.min() / 7))
    weeks = int(np.floor(discharged.max() / 7)) - origin + curve.horizon_days // 7 + 2
    count = weeks * (int(unit.max()) + 1)
    distance, variance = np.zeros(count), np.zeros(count)
    for week, share in weeks_of_stays(discharged, curve):
        expected = risks * share
        cell = unit * weeks + week - origin
        distance += np.bincount(cell, (came == week) - expected, minlength=count)
        variance += np.bincount(cell, expected * (1 - expected), minlength=count)
    return max(1.0, float((distance**2).sum() / variance.sum()))
