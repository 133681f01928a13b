"""Past forecasts against what came: whether 95 % of units and weeks were within their intervals."""

import math

import numpy as np
from scipy.stats import binom, norm

from fhir_mappings.events import DAY
from training.forecast.as_of import forecast_as_of
from training.forecast.units import units_of
from training.monitoring.findings import ForecastCheck
from training.monitoring.period import PeriodStays
from training.return_curve import ReturnCurve
from training.study_data import FloatArray

MEANT = 0.95
FEWEST_UNIT_WEEKS = 20
"""With fewer even none within their intervals would be one bad week of a few units."""
_WEEK = 7 * DAY


def check_forecasts(
    stays: PeriodStays,
    risks: FloatArray,
    *,
    curve: ReturnCurve,
    overdispersion: float,
    until: int | None,
) -> ForecastCheck | None:
    """The forecast of each week of a period, as it would have been made when the week began.

    The first is made a horizon after the period's first discharge: before, patients at home are
    missing from it. Each looks one week ahead, so that no week is judged twice.

    Args:
        stays: of the period.
        risks: of each.
        curve: when readmissions happen.
        overdispersion: factor on the variance.
        until: microseconds UTC before which the period's discharges lie; None for no bound.

    Returns:
        None where dates are shifted per patient, or too few units and weeks have passed.
    """
    if stays.followed_until is None or not len(stays):
        return None
    end = stays.followed_until if until is None else min(until, stays.followed_until)
    came = _readmitted_at(stays)
    units = units_of(stays.groups)
    inside, expected, variance, observed = [], 0.0, 0.0, 0
    moment = int(stays.discharged.min()) + curve.horizon_days * DAY
    while moment + _WEEK <= end:
        rows, members = forecast_as_of(
            stays, risks, moment, curve=curve, overdispersion=overdispersion, weeks=1
        )
        this_week = (came > moment) & (came <= moment + _WEEK)
        for row in rows:
            count = int((this_week & np.isin(units, members[row.unit])).sum())
            inside.append(row.low <= count <= row.high)
            expected += row.expected
            variance += row.deviation**2
            observed += count
        moment += _WEEK
    if len(inside) < FEWEST_UNIT_WEEKS:
        return None
    outside = len(inside) - sum(inside)
    return ForecastCheck(
        unit_weeks=len(inside),
        inside=sum(inside),
        expected=expected,
        observed=observed,
        chance=float(binom.sf(outside - 1, len(inside), 1 - MEANT)),
        chance_of_total=float(2 * norm.sf(abs(observed - expected) / math.sqrt(variance))),
    )


def _readmitted_at(stays: PeriodStays) -> FloatArray:
    """Microseconds UTC of each readmission; never where there was none."""
    days = np.where(np.isnan(stays.days_to_readmission), math.inf, stays.days_to_readmission)
    return np.asarray(stays.discharged + days * DAY, dtype=np.float64)
