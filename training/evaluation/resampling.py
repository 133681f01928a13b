"""Intervals from resampled patients.

Stays of one patient resemble each other: resampling stays would pretend to more information than
there is. A resample draws as many patients as there are, with replacement, each with all stays
(Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x). It is handed on as a weighting: how
often the patient of each stay was drawn.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from training.risk_model import Interval
from training.study_data import FloatArray

Name = TypeVar("Name", bound=Hashable)

CELLS = 500_000
"""Weights held at once, 4 MB of resamples x stays: what fits the cache is several times faster."""
KNOWN = 0.95
"""The least share of resamples that must be able to say, for there to be an interval."""


@dataclass(frozen=True)
class Estimate:
    """A measure of the stays as they are, and of each resample of their patients."""

    value: float
    resamples: FloatArray

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The difference, resample by resample: both were measured on the same draws."""
        return Estimate(self.value - other.value, self.resamples - other.resamples)

    def interval(self) -> Interval:
        """The value with the 2.5 % and 97.5 % quantiles of the resamples.

        Where more than a twentieth of the resamples cannot say (no slope in separated outcomes,
        say) there is no interval.
        """
        if not np.isfinite(self.value):
            return Interval(None, None, None)
        known = self.resamples[np.isfinite(self.resamples)]
        if len(known) == 0 or len(known) < KNOWN * len(self.resamples):
            return Interval(self.value, None, None)
        low, high = np.quantile(known, [0.025, 0.975])
        return Interval(self.value, float(low), float(high))


def resampled_patients(
    subjects: npt.NDArray[Any], resamples: int, seed: int
) -> Iterator[FloatArray]:
    """Weights, resamples x stays, some resamples at a time; the same seed draws the same ones."""
    unique, patient = np.unique(subjects.astype(str), return_inverse=True)
    count = len(unique)
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS // max(1, len(subjects)))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = random.integers(0, count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, patient].astype(np.float64)


def estimates(
    measure: Callable[[FloatArray], Mapping[Name, FloatArray]],
    subjects: npt.NDArray[Any],
    *,
    resamples: int,
    seed: int,
) -> dict[Name, Estimate]:
    """Measure the stays as they are and every resample of their patients.

    On one thread: sums then do not depend on how many a machine has, and are too small to gain.

    Args:
        measure: takes weights of resamples x stays; returns, by name, a number a resample.
        subjects: the patient of each stay.
        resamples: how many times the patients are drawn.
        seed: of the draws.
    """
    with threadpool_limits(limits=1):
        as_is = measure(np.ones((1, len(subjects))))
        drawn = [measure(weights) for weights in resampled_patients(subjects, resamples, seed)]
    return {
        name: Estimate(float(value[0]), np.concatenate([each[name] for each in drawn]))
        for name, value in as_is.items()
    }
