"""Drift of 2,000 features over 100,000 stays, beside the same job in scipy column by column.

Both sides compute the same statistics to the same values, which is checked: the population
stability index with its chi-square test, the change of missingness with its own, and the
two-sample Kolmogorov-Smirnov test against a sample of 10,000 training stays. The peer is what one
writes with ``numpy.histogram``, ``scipy.stats.chi2_contingency`` and ``scipy.stats.ks_2samp``. All
values are made up.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp

from benchmarks.measuring import Result, at_least, at_most, figure, in_turns
from training.monitoring.drift import edges, kolmogorov_smirnov, population_stability, shares
from training.risk_model import FeatureReference, Interval, Reference

STAYS, FEATURES, SAMPLE = 100_000, 2_000, 10_000
PEER_FEATURES = 200
"""What the two are timed on in turns; the peer goes column by column, so the rest is alike."""
Matrix = npt.NDArray[np.float32]


def made_up(stays: int, features: int, seed: int) -> Matrix:
    """Columns of four kinds in turn: measured, skewed, counts, and present or not."""
    random = np.random.default_rng(seed)
    values = np.empty((stays, features), dtype=np.float32)
    for column in range(features):
        each = random.standard_normal(stays, dtype=np.float32)
        kind = column % 4
        if kind == 1:
            each = np.exp(each)
        elif kind == 2:
            each = np.floor(np.abs(each) * 2)
        elif kind == 3:
            each = (each > 1.5).astype(np.float32)
        each[random.random(stays, dtype=np.float32) < 0.02 * (column % 10)] = np.nan
        values[:, column] = each
    return values


def reference_of(sample: Matrix) -> Reference:
    """What a model trained on these stays would keep of them."""
    nothing = Interval(None, None, None)
    features = []
    for column, values in enumerate(sample.T.astype(np.float64)):
        known = values[~np.isnan(values)]
        quantiles = tuple(np.quantile(known, np.linspace(0, 1, 11)).tolist())
        missing = 1 - len(known) / len(values)
        features.append(
            FeatureReference(f"f{column}", missing, quantiles, True, shares(quantiles, known))
        )
    return Reference(
        intended_population="made up", outcome="made up", horizon_days=30, profile="made up",
        data_fingerprint="", split="", training_stays=len(sample), training_readmissions=0,
        prevalence=0.1, low_below=0.1, high_from=0.2, risk_quantiles=(),
        features=tuple(features), test={"auroc": nothing}, baselines={},
    )  # fmt: skip


def column_by_column(reference: Reference, sample: Matrix, values: Matrix) -> list[list[float]]:
    """The same statistics of each column, as one writes them with numpy and scipy."""
    found = []
    for feature, then, now in zip(reference.features, sample.T, values.T, strict=True):
        ends = np.nextafter(_up_to(edges(feature.quantiles)), np.float32(np.inf))
        bins = np.concatenate([[-np.inf], ends.astype(np.float64), [np.inf]])
        counts = []
        for column in (then, now):
            known = column[~np.isnan(column)]
            counts.append([*np.histogram(known, bins)[0], len(column) - len(known)])
        table = np.array(counts, dtype=np.float64)
        there = table[:, table.sum(axis=0) > 0]
        folded = np.stack([table[:, :-1].sum(axis=1), table[:, -1]], axis=1)
        spread = there.sum(axis=0) / there.sum()
        before, after = ((row + spread) / (row.sum() + 1) for row in there)
        compared = ks_2samp(then, now, nan_policy="omit", method="asymp")
        found.append(
            [
                float(((after - before) * np.log(after / before)).sum()),
                chi2_contingency(there, correction=False).pvalue,
                chi2_contingency(folded, correction=False).pvalue if folded[:, 1].any() else 1.0,
                float(compared.statistic),
                float(compared.pvalue),
            ]
        )
    return found


def at_once(reference: Reference, sample: Matrix, values: Matrix) -> npt.NDArray[np.float64]:
    """The same statistics of all columns, as ``readmit monitor`` computes them."""
    stability = population_stability(reference, values)
    compared = kolmogorov_smirnov(sample, values)
    return np.stack(
        [
            stability.psi,
            stability.chance,
            stability.missing_chance,
            compared.statistic,
            compared.chance,
        ],
        axis=1,
    )


def _up_to(ends: tuple[float, ...]) -> Matrix:
    exact = np.array(ends)
    rounded = exact.astype(np.float32)
    return np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def run(_folder: Path) -> list[Result]:
    """Measure the whole matrix, a tenth of it beside the peer, and memory beside the matrix."""
    values, sample = made_up(STAYS, FEATURES, seed=1), made_up(SAMPLE, FEATURES, seed=2)
    reference = reference_of(sample)
    few, some = np.ascontiguousarray(values[:, :PEER_FEATURES]), sample[:, :PEER_FEATURES].copy()
    few_reference = reference_of(some)
    apart = np.abs(
        at_once(few_reference, some, few) - np.array(column_by_column(few_reference, some, few))
    ).max()
    seconds = in_turns(
        3,
        everything=lambda: at_once(reference, sample, values),
        stability=lambda: population_stability(reference, values),
        readmit=lambda: at_once(few_reference, some, few),
        scipy=lambda: column_by_column(few_reference, some, few),
    )
    detail = f"{STAYS:,} stays x {FEATURES:,} features, made up"
    return [
        at_most(
            "drift of every input: PSI, missingness, KS", seconds["everything"], 20, "s", detail
        ),
        figure("of this PSI and missingness alone", seconds["stability"], "s", detail),
        at_least(
            "scipy column by column / the same at once",
            seconds["scipy"] / seconds["readmit"],
            3,
            detail=f"{PEER_FEATURES} of the features, in turns",
        ),
        at_most("largest difference of any statistic", float(apart), 1e-9, "absolute"),
        at_most("peak memory / the matrix alone", _memory(), 1.2, detail="process of its own"),
    ]


def _memory() -> float:
    """Peak resident memory of a process that looks for drift, beside one that only has the data."""
    peaks = []
    for work in ("drift", "nothing"):
        command = [sys.executable, "-m", "benchmarks.monitoring", work]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(float(done.stdout))
    return peaks[0] / peaks[1]


def _peak_mb(work: str) -> float:
    import resource

    values, sample = made_up(STAYS, FEATURES // 4, seed=1), made_up(SAMPLE, FEATURES // 4, seed=2)
    reference = reference_of(sample)
    if work == "drift":
        at_once(reference, sample, values)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(_peak_mb(sys.argv[1]))
