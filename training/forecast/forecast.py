"""Expected readmissions by unit and week, with intervals, from risks and the curve of returns.

Two groups of patients come back in a coming week. Those at home already are known: each adds the
probability of coming back in that week (``ReturnCurve.returning``). Those who will be discharged
until then are not known. They are taken to be as many, and as ill, as those of the unit's last
horizon; the figures name them apart. Patients in hospital are among them, and only so: nobody knows
when they go home.

The interval holds chance (Poisson binomial for those at home, Poisson for those to come), times the
overdispersion of the training stays, and how well so few discharges tell their rate. It does not
hold that a unit may close, or that a model is no longer calibrated: ``readmit monitor`` compares
past forecasts with what came.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import nbinom, poisson

from training.forecast.units import WEEK, pooled
from training.return_curve import FloatArray, ReturnCurve
from training.study_data import BoolArray

_STEPS = 28
"""Moments of a week at which a discharge to come is looked at: every six hours."""


class UnitWeek(msgspec.Struct, frozen=True):
    """What one unit must expect in one week. A patient counts for the unit that discharged them."""

    unit: str
    week: int
    """1 is the seven days from the moment of the forecast on."""
    at_home: float
    """Expected readmissions of patients who are at home already."""
    to_come: float
    """Of patients whose discharge is still to come: a rate, no list of people."""
    expected: float
    deviation: float
    """Standard deviation of the count."""
    low: int
    high: int
    """Within which 95 % of such weeks lie."""


def forecast(
    probability: FloatArray,
    days: FloatArray,
    units: npt.NDArray[Any],
    at_home: BoolArray,
    *,
    curve: ReturnCurve,
    overdispersion: float,
    weeks: int,
) -> tuple[UnitWeek, ...]:
    """The coming weeks of each unit, by unit and week.

    Units with fewer than 11 patients at home are pooled (``units.pooled``).

    Args:
        probability: of a readmission within the horizon, of every stay that ended within the last
            horizon, as predicted at its discharge.
        days: since each discharge.
        units: that discharged each.
        at_home: whether the patient is alive and has not come back since, planned or not.
        curve: when readmissions happen.
        overdispersion: factor on the variance, at least 1.
        weeks: how many.
    """
    shown = pooled(units, at_home)
    names = sorted({unit for unit in shown if unit is not None})
    return tuple(
        _unit_week(
            name,
            week,
            probability[inside],
            days[inside],
            at_home[inside],
            curve,
            overdispersion,
        )
        for name in names
        for inside in (shown == name,)
        for week in range(1, weeks + 1)
    )


def _unit_week(
    unit: str,
    week: int,
    probability: FloatArray,
    days: FloatArray,
    at_home: BoolArray,
    curve: ReturnCurve,
    overdispersion: float,
) -> UnitWeek:
    known = _returning_in_week(probability[at_home], days[at_home], week, curve)
    to_come = float(probability.sum()) / curve.horizon_days * _weight_of_new(week, curve)
    variance = overdispersion * (float((known * (1 - known)).sum()) + to_come)
    if to_come > 0:
        # The rate itself is an estimate: discharges are counted as Poisson, each with its risk.
        variance += to_come**2 * float((probability**2).sum() / probability.sum() ** 2)
    expected = float(known.sum()) + to_come
    low, high = count_interval(expected, variance)
    return UnitWeek(
        unit, week, float(known.sum()), to_come, expected, float(np.sqrt(variance)), low, high
    )


def _returning_in_week(
    probability: FloatArray, days: FloatArray, week: int, curve: ReturnCurve
) -> FloatArray:
    """The probability of coming back in the week, of patients at home now."""
    by_end = curve.returning(probability, days, days + week * WEEK)
    return by_end - curve.returning(probability, days, days + (week - 1) * WEEK)


def _weight_of_new(week: int, curve: ReturnCurve) -> float:
    """Days' worth of discharges to come whose readmissions, were all certain, fall in the week."""
    discharged = (np.arange(week * _STEPS) + 0.5) * WEEK / _STEPS
    by_end = curve.returned_by(week * WEEK - discharged)
    before = curve.returned_by((week - 1) * WEEK - discharged)
    return float((by_end - before).sum()) * WEEK / _STEPS


def count_interval(mean: float, variance: float) -> tuple[int, int]:
    """Counts between which 95 % lie, of a negative binomial of this mean and variance.

    Of a Poisson where the variance is no larger than the mean: that of a Poisson binomial is a
    little smaller, and the interval then a little too wide. At least 95 %: counts are whole.
    """
    if mean <= 0:
        return 0, 0
    ratio = variance / mean
    if ratio <= 1 + 1e-9:
        low, high = poisson.ppf([0.025, 0.975], mean)
    else:
        low, high = nbinom.ppf([0.025, 0.975], mean / (ratio - 1), 1 / ratio)
    return int(low), int(high)
