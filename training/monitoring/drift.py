"""Drift of inputs and scores against the training stays, over thousands of columns.

A column is cut at the deciles of the training stays, and the share of stays in each bin compared
with what it was (population stability index). Missing values are a bin of their own. The index has
no notion of chance: with a hundred stays and eleven bins it is 0.1 on average where nothing has
changed. Beside it stands the probability of so large a difference by chance, Pearson's chi-square
test of homogeneity; whoever looks at many features must correct for that.

Columns are taken a few at a time, so that memory stays bounded however large the matrix is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, kstwo

from fhir_mappings.errors import StudyError
from training.risk_model import FeatureReference, Reference
from training.study_data import FloatArray

_CELLS = 4_000_000
"""Values held at once beside the matrix: 16 MB."""
_PRIOR_STAYS = 1.0
"""Smoothing: how many stays, spread as both samples together, are added to each."""


@dataclass(frozen=True)
class PopulationStability:
    """Drift of each column; every array has one entry a column, in the reference's order."""

    names: tuple[str, ...]
    psi: FloatArray
    """Population stability index: 0 where nothing has changed, from 0.25 on a large change
    (Siddiqi, Credit Risk Scorecards, 2006)."""
    chance: FloatArray
    """Probability of bins so different where nothing has changed: a chi-square test."""
    missing_reference: FloatArray
    """Share of training stays without a value."""
    missing: FloatArray
    """Share of these stays without one."""
    missing_chance: FloatArray
    """Probability of so different a share by chance."""


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The two-sample test of each column; NaN where either sample has no value."""

    statistic: FloatArray
    """Largest distance of the two distribution functions."""
    chance: FloatArray
    """Two-sided p-value from the asymptotic distribution."""


def edges(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    """The upper ends of a column's bins, without the last, which has none.

    A bin holds the values above the end before it, up to its own end. Equal deciles are one end.
    The smallest value is an end only where deciles are equal, as of counts: there it may be what
    most stays have. Elsewhere a bin of that one value would only add noise.
    """
    if not quantiles:
        return ()
    distinct = sorted(set(quantiles))
    ends = [value for value in distinct if value < quantiles[-1]]
    return tuple(ends if len(distinct) < len(quantiles) else ends[1:])


def shares(quantiles: tuple[float, ...], known: npt.NDArray[Any]) -> tuple[float, ...]:
    """The share of values in each bin of a column, for the model's reference.

    Args:
        quantiles: the 0 %, 10 %, ... 100 % quantiles of the values.
        known: the values, none of them missing.
    """
    if not quantiles:
        return ()
    below = [np.count_nonzero(known <= end) for end in edges(quantiles)]
    return tuple(float(count) / len(known) for count in np.diff([0, *below, len(known)]))


def population_stability(
    reference: Reference, values: npt.NDArray[np.float32]
) -> PopulationStability:
    """Drift of every feature of a model.

    Small counts are smoothed: to either sample one stay is added, spread over the bins as the two
    samples together are. An empty bin then never makes the index infinite, and a bin that is empty
    in both adds exactly nothing.

    Args:
        reference: of the model.
        values: stays x features, in the order of the reference; NaN where missing.

    Raises:
        StudyError: if the columns are not the reference's, or there is no stay.
    """
    if values.ndim != 2 or values.shape[1] != len(reference.features):
        raise StudyError(
            f"values have shape {values.shape}; the reference describes stays x "
            f"{len(reference.features)} features"
        )
    if not len(values):
        raise StudyError("there is no stay to look for drift in")
    expected = np.stack([_expected(feature) for feature in reference.features])
    expected *= reference.training_stays
    observed = _observed(reference.features, values)
    return PopulationStability(
        names=tuple(feature.name for feature in reference.features),
        psi=_psi(expected, observed),
        chance=_homogeneity(expected, observed),
        missing_reference=np.array([feature.missing for feature in reference.features]),
        missing=observed[:, -1] / len(values),
        missing_chance=_homogeneity(_folded(expected), _folded(observed)),
    )


def score_stability(reference: Reference, risks: FloatArray) -> tuple[float, float]:
    """Population stability index of the risks against the training stays', and its chance.

    Raises:
        StudyError: if the model kept no quantiles of its risks, or there is no stay.
    """
    if not reference.risk_quantiles:
        raise StudyError("the model's reference has no quantiles of its risks")
    if not len(risks):
        raise StudyError("there is no stay to look for drift in")
    ends = edges(reference.risk_quantiles)
    expected = _nominal(reference.risk_quantiles) * reference.training_stays
    below = [np.count_nonzero(risks <= end) for end in ends]
    observed = np.diff([0, *below, len(risks)]).astype(np.float64)
    psi = _psi(expected[None], observed[None])
    return float(psi[0]), float(_homogeneity(expected[None], observed[None])[0])


def kolmogorov_smirnov(
    sample: npt.NDArray[np.float32], values: npt.NDArray[np.float32]
) -> KolmogorovSmirnov:
    """The two-sample Kolmogorov-Smirnov test of every column.

    The distance is largest at, or just before, a value of either sample alone: it is enough to
    look up the values of ``sample`` in ``values``. Give the smaller of the two first.

    Args:
        sample: reference stays x columns; NaN where missing.
        values: stays x the same columns.

    Raises:
        StudyError: if the two have different columns.
    """
    if sample.ndim != 2 or values.ndim != 2 or sample.shape[1] != values.shape[1]:
        raise StudyError(f"samples of shape {sample.shape} and {values.shape} cannot be compared")
    columns = values.shape[1]
    statistic, effective = np.full(columns, np.nan), np.full(columns, np.nan)
    for first, (some, others) in _in_chunks(sample, values):
        for offset, (x, y) in enumerate(zip(np.sort(some), np.sort(others), strict=True)):
            known, compared = x[: _known(x)], y[: _known(y)]
            if len(known) and len(compared):
                statistic[first + offset] = _distance(known, compared)
                effective[first + offset] = _effective(len(known), len(compared))
    return KolmogorovSmirnov(statistic, np.clip(kstwo.sf(statistic, effective), 0, 1))


def _distance(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    """Between the distribution functions of two sorted samples."""
    starts = np.append(np.flatnonzero(np.append(True, x[1:] != x[:-1])), len(x))
    steps, distinct = starts / len(x), x[starts[:-1]]
    above = (np.searchsorted(y, distinct, side="left") / len(y) - steps[:-1]).max()
    below = (steps[1:] - np.searchsorted(y, distinct, side="right") / len(y)).max()
    return max(float(above), float(below), 0.0)


def _effective(count: int, other: int) -> float:
    return max(1.0, float(np.round(count * other / (count + other))))


def _known(ordered: npt.NDArray[np.float32]) -> int:
    """How many values a sorted column has before its NaN begin."""
    return int(np.searchsorted(ordered, np.float32(np.nan), side="left"))


def _bins(feature: FeatureReference) -> FloatArray:
    if len(feature.shares) == len(edges(feature.quantiles)) + 1 and feature.quantiles:
        return np.array(feature.shares)
    return _nominal(feature.quantiles)


def _nominal(quantiles: tuple[float, ...]) -> FloatArray:
    """Shares as the deciles alone tell them: at least so many tenths lie up to each end."""
    if not quantiles:
        return np.zeros(1)
    tenths = np.array(quantiles)
    below = [(np.count_nonzero(tenths <= end) - 1) / (len(tenths) - 1) for end in edges(quantiles)]
    return np.diff([0.0, *below, 1.0])


_MOST_BINS = 11
"""Between ten ends at most; the missing ones come after."""


def _expected(feature: FeatureReference) -> FloatArray:
    """Share of training stays in each bin, padded with empty ones; the last is of the missing."""
    known = _bins(feature)
    padded = np.zeros(_MOST_BINS + 1)
    padded[: len(known)] = known * (1 - feature.missing)
    padded[-1] = feature.missing
    return padded


def _observed(
    features: tuple[FeatureReference, ...], values: npt.NDArray[np.float32]
) -> FloatArray:
    """Stays in each bin of each feature, and the missing ones last."""
    ends = [_single(edges(feature.quantiles)) for feature in features]
    counts = np.zeros((len(features), _MOST_BINS + 1))
    for first, (chunk,) in _in_chunks(values):
        for column, known in enumerate(chunk, start=first):
            present = np.count_nonzero(known <= np.inf)  # false for NaN
            below = [np.count_nonzero(known <= end) for end in ends[column]]
            counts[column, : len(below) + 1] = np.diff([0, *below, present])
            counts[column, -1] = len(known) - present
    return counts


def _single(ends: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Ends in single precision that part single-precision values just as the exact ends do.

    Comparing in double precision would copy every column.
    """
    exact = np.array(ends, dtype=np.float64)
    rounded = exact.astype(np.float32)
    down = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > exact, down, rounded).astype(np.float32)


def _in_chunks(
    *matrices: npt.NDArray[np.float32],
) -> Iterator[tuple[int, list[npt.NDArray[np.float32]]]]:
    """The same few columns of each matrix as rows that lie together, and which is the first."""
    at_once = max(1, _CELLS // max(1, *(len(matrix) for matrix in matrices)))
    for first in range(0, matrices[0].shape[1], at_once):
        yield (
            first,
            [
                np.ascontiguousarray(matrix[:, first : first + at_once].T, dtype=np.float32)
                for matrix in matrices
            ],
        )


def _psi(expected: FloatArray, observed: FloatArray) -> FloatArray:
    """Sum over the bins of (now - then) * ln(now / then), smoothed."""
    pooled = expected + observed
    spread = pooled / pooled.sum(axis=1, keepdims=True) * _PRIOR_STAYS
    then, now = (
        (counts + spread) / (counts.sum(axis=1, keepdims=True) + _PRIOR_STAYS)
        for counts in (expected, observed)
    )
    logarithm = np.zeros_like(now)
    np.divide(now, then, out=logarithm, where=pooled > 0)
    np.log(logarithm, out=logarithm, where=pooled > 0)
    return np.asarray(((now - then) * logarithm).sum(axis=1), dtype=np.float64)


def _homogeneity(expected: FloatArray, observed: FloatArray) -> FloatArray:
    """Pearson's chi-square test that two rows of counts come from the same distribution."""
    pooled = expected + observed
    whole = pooled.sum(axis=1, keepdims=True)
    statistic = np.zeros(len(pooled))
    for counts in (expected, observed):
        should = pooled * counts.sum(axis=1, keepdims=True) / whole
        parts = np.zeros_like(pooled)
        np.divide((counts - should) ** 2, should, out=parts, where=pooled > 0)
        statistic += parts.sum(axis=1)
    bins = (pooled > 0).sum(axis=1)
    return np.where(bins > 1, chi2.sf(statistic, np.maximum(bins - 1, 1)), 1.0)


def _folded(counts: FloatArray) -> FloatArray:
    """Stays with a value, and those without."""
    return np.stack([counts[:, :-1].sum(axis=1), counts[:, -1]], axis=1)
