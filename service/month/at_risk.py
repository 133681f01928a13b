"""Time at risk, before a call and after it: how many readmissions it should have had, and had.

Who is called on day 3 cannot have come back on day 2. Whoever counts patients as called or not
called from their discharge on therefore credits the calls with days on which nobody could come back
(immortal time: Suissa 2008, doi:10.1093/aje/kwm324), and puts every early return on the other side.
So it is days that are counted here, not patients: each of a patient's days is *not called* until
the first call and *called* from then on (Mantel and Byar 1974, J Am Stat Assoc 69:81).

Against the readmissions that fell in those days stand the ones to expect in them, from each
patient's own risk and the curve of returns: the hazard added up over the days at risk
(subject-years method: Berry 1983, Biometrics 39:173). Where the model is calibrated and calls do
nothing, both sides come to 1 on average, whenever people are called.
"""

import msgspec
import numpy as np

from training.return_curve import FloatArray, ReturnCurve


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Days at risk of some patients, and what fell in them."""

    patients: int = 0
    """Who were at risk for any time at all."""
    days: float = 0.0
    readmissions: int = 0
    expected: float = 0.0

    def __add__(self, other: "Exposure") -> "Exposure":
        """The days of both."""
        return Exposure(
            patients=self.patients + other.patients,
            days=self.days + other.days,
            readmissions=self.readmissions + other.readmissions,
            expected=self.expected + other.expected,
        )


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """Observed readmissions for each that was expected, with its 95 % interval."""

    value: float
    low: float
    high: float


def exposures(
    probability: FloatArray,
    called: FloatArray,
    ended: FloatArray,
    readmitted: FloatArray,
    curve: ReturnCurve,
) -> tuple[tuple[Exposure, Exposure], ...]:
    """Each stay's time before a call and after it. All arrays have one entry a stay, in days.

    Args:
        probability: of a readmission within the horizon, as predicted at the discharge.
        called: from the discharge to the first call; infinite where there was none. A call before
            the discharge counts from the discharge on, one after ``ended`` not at all.
        ended: from the discharge to where the stay was no longer at risk: the first return, the
            death, the horizon, or the end of what is on record.
        readmitted: 1 where it ended with an unplanned readmission, else 0.
        curve: when readmissions happen.

    Returns:
        Called and not called, a pair a stay.
    """
    ended = np.clip(ended, 0.0, curve.horizon_days)
    change = np.clip(called, 0.0, ended)
    was_called = called < ended
    before = hazard(curve, probability, np.zeros_like(ended), change)
    after = hazard(curve, probability, change, ended)
    return tuple(
        (
            Exposure(
                patients=int(since_call),
                days=float(stop - middle),
                readmissions=int(back and since_call),
                expected=float(later),
            ),
            Exposure(
                patients=int(middle > 0 or not since_call),
                days=float(middle),
                readmissions=int(back and not since_call),
                expected=float(earlier),
            ),
        )
        for since_call, middle, stop, back, earlier, later in zip(
            was_called, change, ended, readmitted, before, after, strict=True
        )
    )


def hazard(
    curve: ReturnCurve, probability: FloatArray, start: FloatArray, stop: FloatArray
) -> FloatArray:
    """The readmissions to expect of each patient in days at risk: minus the log of none in them.

    Day by day: within a day the curve is a straight line, and hardly anybody leaves otherwise.

    Args:
        curve: when readmissions happen.
        probability: of a readmission within the horizon, as predicted at the discharge.
        start: days since discharge from which on the patient is at risk.
        stop: until when.
    """
    total = np.zeros_like(start)
    for day in range(curve.horizon_days):
        begin, end = np.clip(start, day, day + 1), np.clip(stop, day, day + 1)
        chance = np.minimum(curve.returning(probability, begin, end), 1 - 1e-9)
        total += np.where(end > begin, -np.log1p(-chance), 0.0)
    return total


def observed_to_expected(exposure: Exposure) -> Ratio | None:
    """The ratio with its exact Poisson interval (Ulm 1990, doi:10.1093/oxfordjournals.aje.a115507).

    None where nothing was to be expected. The interval holds chance alone: not that weeks differ
    more than by chance, and not that the risks themselves are estimates.
    """
    from scipy.stats import chi2

    observed, expected = exposure.readmissions, exposure.expected
    if expected <= 0:
        return None
    low = chi2.ppf(0.025, 2 * observed) / 2 if observed else 0.0
    high = chi2.ppf(0.975, 2 * (observed + 1)) / 2
    return Ratio(value=observed / expected, low=float(low / expected), high=float(high / expected))
