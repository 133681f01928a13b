"""Plots of a study as SVG text: the same study gives the same bytes."""

from collections.abc import Mapping, Sequence

import numpy as np

from training.drawing import COLOURS, figure, svg
from training.study_data import BoolArray, FloatArray

_WILSON = 1.96
_FEWEST_IN_GROUP = 20


def roc_curve(risks: Mapping[str, FloatArray], outcome: BoolArray, source: str) -> str:
    """Receiver operating characteristic of several rankings of the same stays.

    Args:
        risks: rankings by the name to show.
        outcome: what happened.
        source: what the records are, shown under the title.

    """
    drawn, axes = figure("Discrimination (ROC)", source)
    for (name, score), colour in zip(risks.items(), COLOURS, strict=False):
        found, false = _counts(score, outcome)
        axes.plot(false / false[-1], found / found[-1], color=colour, label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right", frameon=False)
    return svg(drawn)


def precision_recall_curve(risks: Mapping[str, FloatArray], outcome: BoolArray, source: str) -> str:
    """Precision against recall of several rankings of the same stays; arguments as for ROC."""
    drawn, axes = figure("Precision and recall", source)
    for (name, score), colour in zip(risks.items(), COLOURS, strict=False):
        found, false = (counts[1:] for counts in _counts(score, outcome))
        axes.step(found / found[-1], found / (found + false), color=colour, label=name)
    axes.axhline(outcome.mean(), color="grey", linestyle=":", linewidth=1)
    axes.set(
        xlabel="recall (sensitivity)",
        ylabel="precision (positive predictive value)",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend(loc="upper right", frameon=False)
    return svg(drawn)


def calibration_plot(probability: FloatArray, outcome: BoolArray, source: str) -> str:
    """Observed against predicted risk in tenths of the stays by risk, with 95 % Wilson intervals.

    Small studies get fewer groups, so that each has at least some twenty stays.
    """
    drawn, axes = figure("Calibration", source)
    count = int(np.clip(len(outcome) // _FEWEST_IN_GROUP, 2, 10))
    groups = np.array_split(np.argsort(probability, kind="stable"), count)
    predicted = np.array([probability[group].mean() for group in groups])
    observed = np.array([outcome[group].mean() for group in groups])
    sizes = np.array([len(group) for group in groups])
    centre = (observed + _WILSON**2 / (2 * sizes)) / (1 + _WILSON**2 / sizes)
    half = (
        _WILSON
        / (1 + _WILSON**2 / sizes)
        * np.sqrt(observed * (1 - observed) / sizes + _WILSON**2 / (4 * sizes**2))
    )
    axes.vlines(predicted, centre - half, centre + half, color=COLOURS[0], linewidth=1)
    axes.plot(predicted, observed, "o", color=COLOURS[0], label=f"{count} groups of equal size")
    top = float(max(predicted.max(), (centre + half).max())) * 1.05
    axes.plot([0, top], [0, top], color="grey", linestyle=":", linewidth=1, label="ideal")
    axes.set(xlabel="predicted risk", ylabel="observed readmissions", xlim=(0, top), ylim=(0, top))
    axes.legend(loc="upper left", frameon=False)
    return svg(drawn)


def importance_plot(strongest: Sequence[tuple[str, float]], source: str) -> str:
    """The features with the largest mean absolute contribution, in log-odds."""
    drawn, axes = figure(
        "What moves the risk", source, height=max(2.8, 1.4 + 0.26 * len(strongest))
    )
    names = [name for name, _ in strongest][::-1]
    axes.barh(names, [size for _, size in strongest][::-1], color=COLOURS[0])
    axes.set(xlabel="mean absolute contribution (log-odds)")
    return svg(drawn)


def _counts(score: FloatArray, outcome: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Stays with and without the outcome at or above each distinct score, from (0, 0) on."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = np.cumsum(outcome[order])[ends]
    return np.append(0.0, found), np.append(0.0, ends + 1 - found)
