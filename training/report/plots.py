"""Plots of a study as SVG text: the same study gives the same bytes.

Figures are built with the object interface: pyplot keeps every figure in a global list, which a
long-running process would never let go of.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np

from training.drawing import COLOURS, figure, svg
from training.findings import CalibrationCurve, Grouping, NetBenefit
from training.return_curve import ReturnCurve
from training.risk_model import Interval
from training.study_data import BoolArray, FloatArray

_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Lines are told apart without colour too: on paper, and by those who do not see it."""


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
    axes.set(xlabel="1 \u2212 specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1))
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


def calibration_curve(curve: CalibrationCurve, source: str) -> str:
    """Observed against predicted risk: LOESS with its band, and tenths with their intervals.

    Args:
        curve: as evaluation found it.
        source: what the records are, shown under the title.

    """
    drawn, axes = figure("Calibration", source)
    tops = [0.05]
    banded = [
        (point.predicted, point.low, point.high)
        for point in curve.smooth
        if point.low is not None and point.high is not None
    ]
    if banded:
        predicted, low, high = (np.array(each) for each in zip(*banded, strict=True))
        axes.fill_between(predicted, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        tops.append(float(high.max()))
    if curve.smooth:
        axes.plot(
            [point.predicted for point in curve.smooth],
            [point.observed for point in curve.smooth],
            color=COLOURS[0],
            label="smoothed (LOESS)",
        )
        tops.append(max(max(point.predicted, point.observed) for point in curve.smooth))
    known = [group for group in curve.groups if group.observed.value is not None]
    for group in known:
        if group.observed.low is not None and group.observed.high is not None:
            ends = (group.observed.low, group.observed.high)
            axes.vlines(group.predicted, *ends, color=COLOURS[1], linewidth=1.2)
            tops.append(group.observed.high)
    axes.plot(
        [group.predicted for group in known],
        [_or_nan(group.observed.value) for group in known],
        "o",
        color=COLOURS[1],
        markersize=4.5,
        label=f"{len(known)} groups of stays by risk",
    )
    top = min(1.0, 1.05 * max(tops + [group.predicted for group in known]))
    axes.plot([0, top], [0, top], color="grey", linestyle=":", linewidth=1, label="ideal")
    axes.set(xlabel="predicted risk", ylabel="observed readmissions", xlim=(0, top), ylim=(0, top))
    axes.legend(loc="upper left", frameon=False)
    return svg(drawn)


def returns_curve(curve: ReturnCurve, source: str) -> str:
    """What share of the readmissions has happened by each day, with its band, and who left.

    Args:
        curve: as the model keeps it.
        source: what the records are, shown under the title.

    """
    drawn, axes = figure("When readmissions happen", source)
    days = np.arange(curve.horizon_days + 1)
    axes.fill_between(days, curve.low, curve.high, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.plot(days, curve.returned, color=COLOURS[0], label="of those readmitted, back by then")
    axes.plot(
        days,
        curve.left,
        color=COLOURS[1],
        linestyle="--",
        label="of the others, died or back as planned",
    )
    axes.set(
        xlabel="days since discharge",
        ylabel="share of patients",
        xlim=(0, curve.horizon_days),
        ylim=(0, 1.02),
    )
    axes.legend(loc="center right", frameon=False)
    return svg(drawn)


def decision_curve(points: Sequence[NetBenefit], names: Mapping[str, str], source: str) -> str:
    """Net benefit by the risk from which one acts (Vickers 2006, doi:10.1177/0272989X06295361).

    Args:
        points: by rising threshold.
        names: what is drawn, ``model`` first, with the names to show.
        source: what the records are, shown under the title.

    """
    drawn, axes = figure("Decision curve", source)
    thresholds = [point.threshold for point in points]
    banded = [
        (point.threshold, point.model.low, point.model.high)
        for point in points
        if point.model.low is not None and point.model.high is not None
    ]
    if banded:
        where, low, high = zip(*banded, strict=True)
        axes.fill_between(where, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
    looks = zip(cycle(COLOURS), cycle(_LINES), strict=False)
    for (name, label), (colour, style) in zip(names.items(), looks, strict=False):
        found = [point.model if name == "model" else point.peers.get(name) for point in points]
        values = [_or_nan(None if each is None else each.value) for each in found]
        width = 1.8 if name == "model" else 1.2
        axes.plot(thresholds, values, color=colour, linestyle=style, linewidth=width, label=label)
    everyone = [point.everyone for point in points]
    axes.plot(thresholds, everyone, color="grey", linewidth=1, label="acting on every stay")
    axes.axhline(0, color="black", linewidth=0.8, label="acting on none")
    best = max((p.model.high or p.model.value or 0.0) for p in points)
    axes.set(
        xlabel="risk from which one acts",
        ylabel="net benefit (readmissions per stay)",
        ylim=(-0.25 * max(best, 0.01), 1.1 * max(best, 0.01)),
    )
    axes.legend(loc="upper right", frameon=False)
    return svg(drawn)


def subgroup_forest(
    groupings: Sequence[Grouping],
    measure: str,
    title: str,
    ideal: float | None,
    source: str,
    axis: str,
) -> str:
    """A measure with its interval in every group that may be shown, attribute by attribute.

    Args:
        groupings: as evaluation found them; suppressed groups are left out.
        measure: the key in ``Subgroup.measures``.
        title: of the plot.
        ideal: where a line is drawn; None for none.
        source: what the records are, shown under the title.
        axis: what is drawn, with its unit, and which way is which.

    """
    rows: list[tuple[str, float | None, float | None, float | None]] = []
    heads: list[int] = []
    for grouping in groupings:
        shown = [group for group in grouping.groups if not group.suppressed]
        if not shown:
            continue
        heads.append(len(rows))
        rows.append((grouping.label, None, None, None))
        for group in shown:
            found = group.measures.get(measure, Interval(None, None, None))
            rows.append((group.name, found.value, found.low, found.high))
    drawn, axes = figure(title, source, height=1.3 + 0.235 * len(rows))
    for position, (_, value, low, high) in enumerate(rows):
        if value is None:
            continue
        if low is not None and high is not None:
            axes.hlines(position, low, high, color=COLOURS[0], linewidth=1.4)
        axes.plot(value, position, "s", color=COLOURS[0], markersize=4.5)
    if ideal is not None:
        axes.axvline(ideal, color="grey", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    for position, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("bold" if position in heads else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color="#e0e0e0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(axis)
    return svg(drawn)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _counts(score: FloatArray, outcome: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Stays with and without the outcome at or above each distinct score, from (0, 0) on."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = np.cumsum(outcome[order])[ends]
    return np.append(0.0, found), np.append(0.0, ends + 1 - found)
