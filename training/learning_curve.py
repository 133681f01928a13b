"""The learning curve: would more stays make a better model?

The model is refitted on nested shares of the training patients, and each refit is measured on the
same test stays. The number of trees and the calibration are found anew for each share, by its own
out-of-fold predictions: the number that suits all stays would let a tenth of them overfit. Which
features the trees may use stays as chosen on all training stays, since that search is what takes
the time. A small share thus profits from what all the others showed, and its point flatters it: the
true curve is, if anything, steeper. The point of all training stays is the model's own but for its
number of trees, which is found once more.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xgboost
from matplotlib.axes import Axes

from training.calibration import fit_platt
from training.drawing import COLOURS, panels, svg
from training.evaluation import metrics
from training.evaluation.resampling import estimates
from training.findings import Learning, LearningPoint
from training.fit import Fit, FitSettings, fit_trees
from training.risk_model import Interval
from training.split import FEWEST_IN_TRAIN, Split
from training.study_data import BoolArray, FloatArray, StudyData


def learning_curve(
    data: StudyData,
    split: Split,
    fit: Fit,
    shares: Sequence[float],
    *,
    resamples: int,
    seed: int,
    settings: FitSettings | None = None,
) -> Learning:
    """Refit on nested shares of the training patients and measure on the same test stays.

    Shares that hold too few readmissions, or too few stays without, to fit on are left out.

    Args:
        data: the stays in canonical order (``StudyData.ordered``).
        split: their parts.
        fit: the model's own fit, for its choice of features.
        shares: of the training patients, each above 0 and at most 1.
        resamples: of the test patients, for intervals; every point is measured on the same ones.
        seed: of the order in which patients come in, of the trees and of the draws.
        settings: of the trees.
    """
    judged = data.subset(split.test)
    order = _patient_order(data, split.train, seed)
    points = []
    for share in sorted(set(shares)):
        part = split.train & (order < share)
        if not _enough(data.outcome[part], split.folds[part]):
            continue
        margin, probability = _risks(
            data, split, part, judged, used=fit.used, settings=settings, seed=seed
        )
        auroc, log_loss = _measured(judged, margin, probability, resamples, seed)
        stays, readmissions = int(part.sum()), int(data.outcome[part].sum())
        points.append(LearningPoint(share, stays, readmissions, auroc, log_loss))
    return Learning(tuple(points))


def _enough(outcome: BoolArray, folds: npt.NDArray[np.integer]) -> bool:
    """Whether there is enough to fit on, and both outcomes outside each fold.

    All readmissions of a small share may be one patient's, and then of one fold.
    """
    readmissions = int(outcome.sum())
    outside = [outcome[folds != fold] for fold in np.unique(folds)]
    return min(readmissions, len(outcome) - readmissions) >= FEWEST_IN_TRAIN and all(
        0 < each.sum() < len(each) for each in outside
    )


def learning_plot(learning: Learning, source: str) -> str:
    """AUROC and log loss by training stays, with intervals, as SVG text.

    The intervals are of one set of test stays: they move together from point to point, and two
    that overlap may still differ.

    Args:
        learning: the points.
        source: what the records are, shown under the title.
    """
    drawn, (above, below) = panels("Would more stays help?", source, rows=2, height=5.4)
    stays = [point.stays for point in learning.points]
    _line(above, stays, [point.auroc for point in learning.points], COLOURS[0])
    above.set_ylabel("AUROC")
    _line(below, stays, [point.log_loss for point in learning.points], COLOURS[1])
    below.set_ylabel("log loss (lower is better)")
    below.set_xticks(
        stays, [f"{point.stays:,}\n({point.readmissions:,})" for point in learning.points]
    )
    below.set_xlabel("training stays (readmissions among them)")
    return svg(drawn)


def _line(axes: Axes, stays: Sequence[int], measured: Sequence[Interval], colour: str) -> None:
    """A measure by training stays; one that cannot be estimated leaves a gap."""
    values, low, high = (
        np.array([getattr(each, name) for each in measured], dtype=np.float64)
        for name in ("value", "low", "high")
    )
    axes.vlines(stays, low, high, color=colour, linewidth=1)
    axes.plot(stays, values, "o-", color=colour)


def _patient_order(data: StudyData, train: BoolArray, seed: int) -> FloatArray:
    """When the patient of each stay comes in: from 0, the first, to just below 1; inf for others.

    The first patients of a small share are the first of a larger one too: shares are nested.
    """
    unique, patient = np.unique(data.subjects[train].astype(str), return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(unique)) / len(unique)
    order = np.full(len(data), np.inf)
    order[train] = place[patient]
    return order


def _risks(
    data: StudyData,
    split: Split,
    part: BoolArray,
    judged: StudyData,
    *,
    used: BoolArray,
    settings: FitSettings | None,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Margins and calibrated probabilities of the test stays, by a model of part of the others."""
    learning = data.subset(part)
    # Few patients may leave a fold empty; the folds that are left are numbered anew.
    folds = np.unique(split.folds[part], return_inverse=True)[1].astype(np.int8)
    fit = fit_trees(
        data.features,
        learning.values,
        learning.outcome,
        folds,
        seed=seed,
        settings=settings,
        used=used,
    )
    margin = fit.booster.predict(xgboost.DMatrix(judged.values), output_margin=True)
    platt = fit_platt(fit.out_of_fold, learning.outcome)
    return margin.astype(np.float64), platt.probability(margin)


def _measured(
    judged: StudyData, margin: FloatArray, probability: FloatArray, resamples: int, seed: int
) -> tuple[Interval, Interval]:
    """AUROC and log loss."""
    found = estimates(
        lambda weights: {
            "auroc": metrics.auroc(margin, judged.outcome, weights),
            "log_loss": metrics.log_loss(probability, judged.outcome, weights),
        },
        judged.subjects,
        resamples=resamples,
        seed=seed,
    )
    return found["auroc"].interval(), found["log_loss"].interval()
