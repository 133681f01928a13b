"""How steadily a model's strongest features are the strongest.

Were the hospital's patients others, but like these, would a model lean on the same features? The
patients of the training part are drawn anew, with replacement, and the trees refitted. Which
features the trees may use, and how many trees there are, stays as it was chosen on all of them: a
full search for each draw would take minutes. The overlap is therefore one of ranks among the
chosen features, and flatters the choice itself.

Reference: Efron 1979, doi:10.1214/aos/1176344552 (the bootstrap).
"""

import numpy as np
import numpy.typing as npt
import xgboost

from training.explanation.importance import Contributions, strongest, thinned
from training.findings import Stability, StableFeature
from training.fit import Fit, FitSettings, refit
from training.study_data import FloatArray, StudyData

TOP = 10
"""How many of the strongest features are compared."""
_EXPLAINED = 500
"""Stays that each refit is asked about; TreeSHAP is what takes the time."""


def stability(
    learning: StudyData,
    fit: Fit,
    explained: Contributions,
    *,
    refits: int,
    seed: int,
    settings: FitSettings | None = None,
) -> Stability:
    """Refit on resampled patients and compare the ten strongest features.

    All are ranked on the same stays, the model itself included. With no refits nothing is said of
    the overlap.

    Args:
        learning: the training stays in canonical order (``StudyData.ordered``).
        fit: the model's own fit, for its features and the number of its trees.
        explained: the model's contributions on test stays.
        refits: how many times patients are drawn.
        seed: of the draws; the trees' own as well.
        settings: of the trees.

    Returns:
        Every feature that was among the ten strongest of the model or of a refit, the most frequent
        first. Its rank counts from 1; a feature without any contribution ranks last.
    """
    asked = thinned(explained, _EXPLAINED)
    names = np.array([feature.name for feature in learning.features])
    mine = np.isin(names, [name for name, _ in strongest(asked)[:TOP]])
    if refits == 0 or not mine.any():
        return Stability(refits=0, mean_overlap=None, features=())
    matrix = xgboost.DMatrix(asked.rows, nthread=1)
    random = np.random.default_rng(seed)
    ranks = np.empty((refits, len(names)))
    for row in range(refits):
        drawn = _drawn(learning, random)
        booster = refit(
            learning.features,
            learning.values[drawn],
            learning.outcome[drawn],
            used=fit.used,
            rounds=fit.rounds,
            seed=seed,
            settings=settings,
        )
        shares = booster.predict(matrix, pred_contribs=True)[:, :-1]
        ranks[row] = _ranks(np.abs(shares).mean(axis=0))
    among = ranks <= TOP
    features = [
        StableFeature(
            str(names[column]), int(among[:, column].sum()), float(np.median(ranks[:, column]))
        )
        for column in np.flatnonzero(mine | among.any(axis=0))
    ]
    return Stability(
        refits=refits,
        mean_overlap=float((among & mine).sum() / (refits * mine.sum())),
        features=tuple(
            sorted(features, key=lambda f: (-f.times_in_top_ten, f.median_rank, f.feature))
        ),
    )


def _drawn(learning: StudyData, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of as many patients as there are, drawn with replacement, each with all their stays."""
    unique, patient = np.unique(learning.subjects.astype(str), return_inverse=True)
    while True:
        chosen = random.integers(0, len(unique), len(unique))
        times = np.bincount(chosen, minlength=len(unique))[patient]
        rows = np.repeat(np.arange(len(learning)), times)
        # Few outcomes can all be missed by a draw, and there is nothing to fit then.
        if 0 < learning.outcome[rows].sum() < len(rows):
            return rows


def _ranks(sizes: FloatArray) -> FloatArray:
    """Ranks from 1, the largest first; what moves nothing shares the last."""
    ranks = np.empty(len(sizes))
    ranks[np.argsort(-sizes, kind="stable")] = np.arange(1, len(sizes) + 1)
    return np.where(sizes > 0, ranks, float(max(len(sizes), TOP + 1)))
