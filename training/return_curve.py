"""How a risk ages: what is left of it after days at home without a return.

A model says how likely a readmission within the horizon is (p, at discharge), and nothing of when.
The training stays say when: F(d) is the share of all readmissions within the horizon that have
happened by day d, G(d) the share of the other patients who by then have left otherwise, by a death
or a planned return, after which a readmission can no longer count. Of patients still at home on day
d, by Bayes' rule,

    odds of a readmission by the end of the horizon = p / (1 - p) * (1 - F(d)) / (1 - G(d)).

Without G this is p(1 - F) / (1 - pF). It holds where F and G do not depend on p;
docs/decisions/0012-risk-that-ages.md says how that was looked at.

Pure numpy: the service loads it with the model (``training.risk_model``).
"""

from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Remaining(NamedTuple):
    """Remaining risks, an entry a patient, with the 95 % interval that the curve leaves.

    The interval says how well the time of returns is known, not how well p is: that is what the
    model's calibration says. NaN where the model has no curve.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray


class ReturnCurve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When readmissions happen: shares at the end of each whole day from 0 to the horizon.

    Between two days a straight line is drawn: returns within a day are taken to be spread evenly.

    Raises:
        ValueError: if the shares are not as many as days, not within 0 and 1, fall, or do not begin
            at 0 and end at 1.
    """

    returned: tuple[float, ...]
    """F: the share of the readmissions within the horizon that have happened."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """The 95 % interval of ``returned``, day by day, from resampled patients."""
    left: tuple[float, ...]
    """G: the share of the patients without a readmission who died or came back as planned."""
    readmissions: int
    """How many readmissions the curve was made from."""

    def __post_init__(self) -> None:
        length = len(self.returned)
        for shares in (self.returned, self.low, self.high, self.left):
            if len(shares) != length or length < 2:
                raise ValueError("the curve of returns has not a share for each day")
            if any(not 0 <= share <= 1 for share in shares):
                raise ValueError("the curve of returns has a share outside of 0 to 1")
            if any(later < earlier for earlier, later in pairwise(shares)):
                raise ValueError("the curve of returns falls")
        if self.returned[0] != 0 or self.returned[-1] != 1:
            raise ValueError("the curve of returns does not go from 0 to 1")

    @property
    def horizon_days(self) -> int:
        """The last day."""
        return len(self.returned) - 1

    def returned_by(self, days: npt.ArrayLike) -> FloatArray:
        """F at any days since discharge: 0 before, 1 after the horizon."""
        return _at(self.returned, days)

    def remaining(self, probability: npt.ArrayLike, days: npt.ArrayLike) -> Remaining:
        """The risk that is left for patients still at home and not back.

        Args:
            probability: of a readmission within the horizon, as predicted at discharge.
            days: since discharge; before it counts as 0.
        """
        p = np.asarray(probability, dtype=np.float64)
        at = np.asarray(days, dtype=np.float64)
        # More returned means less to come, so the ends change places.
        return Remaining(
            *(_left_of(p, self._odds_ratio(of, at)) for of in (self.returned, self.high, self.low))
        )

    def returning(
        self, probability: npt.ArrayLike, days: npt.ArrayLike, until: npt.ArrayLike
    ) -> FloatArray:
        """The probability of coming back between two days, for patients not back on the first.

        Args:
            probability: of a readmission within the horizon, as predicted at discharge.
            days: since discharge, as of which the patients are at home.
            until: days since discharge, not before ``days``.
        """
        come = self.returned_by(days)
        to_come = 1 - come
        share = np.divide(
            self.returned_by(until) - come, to_come, out=np.zeros_like(to_come), where=to_come > 0
        )
        return np.asarray(self.remaining(probability, days).value * share, dtype=np.float64)

    def _odds_ratio(self, returned: tuple[float, ...], days: FloatArray) -> FloatArray:
        """(1 - F) / (1 - G), made to fall: no return yet is never a bad sign.

        Where F stands still while some leave, the ratio itself would rise a little.
        """
        left = np.minimum(np.array(self.left), 1 - 1e-9)
        ratio = np.minimum.accumulate((1 - np.array(returned)) / (1 - left))
        ratio[-1] = 0.0
        return np.interp(days, np.arange(len(ratio)), ratio)


def _at(shares: tuple[float, ...], days: npt.ArrayLike) -> FloatArray:
    at = np.interp(np.asarray(days, dtype=np.float64), np.arange(len(shares)), np.array(shares))
    return np.asarray(at, dtype=np.float64)


def _left_of(probability: FloatArray, odds_ratio: FloatArray) -> FloatArray:
    """A probability whose odds are multiplied; written so that 0 and 1 need no odds."""
    still = probability * odds_ratio
    rest = 1 - probability + still
    return np.asarray(np.divide(still, rest, out=np.zeros_like(rest), where=rest > 0))
