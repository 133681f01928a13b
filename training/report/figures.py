"""The figures of a report: which there are, what they are called, and what they show in words.

Calibration, decision curve and subgroups are drawn from the findings themselves, so that they
cannot differ from the tables beside them. The rest was drawn when the model was trained.
"""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from training.findings import Evaluation, Fairness
from training.report import plots
from training.report.artifacts import RunArtifacts
from training.report.model_tables import feature_label
from training.report.performance_tables import decision_peers
from training.report.pictures import inline_svg
from training.words import PEERS, count, listed, measured, number, percent, threshold

SIMULATED = "Simulated records."
_WEEK = 7


@dataclass(frozen=True)
class Figure:
    """A picture with the words under it."""

    key: str
    svg: Markup
    caption: str


def source_line(run: RunArtifacts) -> str:
    """What stands under the title of every plot."""
    kind = "simulated records" if run.simulated else f"{run.facts.profile} records"
    return f"{count(run.evaluation.stays)} test stays, {kind}"


def discrimination_figures(run: RunArtifacts) -> list[Figure]:
    """ROC and precision-recall, as training drew them."""
    beside = listed(
        [
            f"{PEERS[name]} {measured(run.evaluation.baselines[name], 'auroc')}"
            for name in ("lace", "hospital")
            if name in run.evaluation.baselines
        ]
    )
    model = measured(run.evaluation.model, "auroc")
    share = percent(run.evaluation.readmissions / max(1, run.evaluation.stays))
    wanted = (
        (
            "roc",
            "Discrimination (ROC)",
            "Share of readmissions found against share of other stays flagged, over all "
            f"thresholds. The area under the curve is {model} for this model; {beside}.",
        ),
        (
            "precision_recall",
            "Precision and recall",
            "Share of flagged stays that are followed by a readmission, against the share of "
            f"readmissions found. The dotted line is chance, {share}; the area is "
            f"{measured(run.evaluation.model, 'auprc')}.",
        ),
    )
    return [
        _figure(run, key, run.plots[key], title, caption)
        for key, title, caption in wanted
        if key in run.plots
    ]


def calibration_figure(run: RunArtifacts) -> Figure:
    """Observed against predicted risk."""
    groups = [g for g in run.evaluation.calibration.groups if g.observed.value is not None]
    words = "Observed readmissions against predicted risk; on the dotted line they agree."
    if groups:
        low, high = groups[0], groups[-1]
        words += (
            f" In the group with the lowest risks {percent(low.observed.value)} came back where "
            f"{percent(low.predicted)} were expected, in the one with the highest "
            f"{percent(high.observed.value)} where {percent(high.predicted)} were."
        )
    drawn = plots.calibration_curve(run.evaluation.calibration, source_line(run))
    return _figure(run, "calibration", drawn, "Calibration", words)


def returns_figure(run: RunArtifacts) -> Figure | None:
    """When readmissions happen; None where the model does not know."""
    curve = run.reference.returns
    if curve is None:
        return None
    share, low, high = (
        percent(float(np.interp(_WEEK, np.arange(len(each)), each)))
        for each in (curve.returned, curve.low, curve.high)
    )
    words = (
        f"Share of {count(curve.readmissions)} readmissions of training stays that had happened by "
        f"each day, with its 95 % interval: {share} ({low} to {high}) within a week. The broken "
        "line is the share of the other patients who had died or come back as planned."
    )
    kind = "simulated" if run.simulated else run.facts.profile
    source = f"{count(curve.readmissions)} readmissions of training stays, {kind} records"
    drawn = plots.returns_curve(curve, source)
    return _figure(run, "returns", drawn, "When readmissions happen", words)


def decision_figure(run: RunArtifacts) -> Figure | None:
    """Net benefit by threshold; None where it was not measured."""
    points = run.evaluation.net_benefit
    if not points:
        return None
    shown = {name: PEERS.get(name, name) for name in ("model", *decision_peers(points))}
    drawn = plots.decision_curve(points, shown, source_line(run))
    return _figure(run, "decision", drawn, "Decision curve", _useful_range(run.evaluation))


def _useful_range(evaluation: Evaluation) -> str:
    runs: list[list[float]] = [[]]
    for point in evaluation.net_benefit:
        if (point.model.value or 0.0) > max(0.0, point.everyone):
            runs[-1].append(point.threshold)
        elif runs[-1]:
            runs.append([])
    useful = [
        threshold(run[0]) if len(run) == 1 else f"{threshold(run[0])} to {threshold(run[-1])}"
        for run in runs
        if run
    ]
    if not useful:
        return (
            "At no risk from which one might act does the model do better than acting on every "
            "stay or on none."
        )
    return (
        "By its estimate the model's net benefit is above that of acting on every stay and of "
        f"acting on none where one acts from a risk of {listed(useful)}; the band is its interval."
    )


def subgroup_figures(run: RunArtifacts, fairness: Fairness) -> list[Figure]:
    """AUROC and calibration intercept, group by group."""
    if not fairness.groupings:
        return []
    wanted = (
        ("auroc", "AUROC by group", None, "AUROC (0.5 is chance)"),
        (
            "calibration_intercept",
            "Calibration intercept by group",
            0.0,
            "calibration intercept (log-odds); above 0 risks are too low",
        ),
    )
    return [
        _figure(
            run,
            f"forest-{measure.replace('_', '-')}",
            plots.subgroup_forest(
                fairness.groupings, measure, title, ideal, source_line(run), axis
            ),
            title,
            _spread(fairness, measure),
        )
        for measure, title, ideal, axis in wanted
    ]


def _spread(fairness: Fairness, measure: str) -> str:
    known = [
        (found.value, f"{grouping.label}: {group.name}")
        for grouping in fairness.groupings
        for group in grouping.groups
        if not group.suppressed
        and (found := group.measures.get(measure)) is not None
        and found.value is not None
    ]
    words = (
        "Squares are estimates, lines 95 % intervals; the tables below hold the numbers and name "
        "the groups that are too small to be shown."
    )
    if len(known) < 2:
        return words
    (least, least_name), (most, most_name) = min(known), max(known)
    return (
        f"{words} The lowest is {number(least, 2)} ({least_name}), "
        f"the highest {number(most, 2)} ({most_name})."
    )


def explanation_figures(run: RunArtifacts) -> list[Figure]:
    """What training drew of the whole model: beeswarm, bars, stability."""
    names = [name for name in run.plots if not name.startswith(_ELSEWHERE)]
    return [
        _figure(run, name, run.plots[name], *_shown(run, name))
        for name in sorted(names, key=_reading_order)
        if "dependence" not in name
    ]


def dependence_figures(run: RunArtifacts) -> list[Figure]:
    """What training drew of single features, the strongest first."""
    places = {name: place for place, (name, _) in enumerate(run.strongest)}
    features = {name: _feature(name) for name in run.plots if "dependence" in name}
    return [
        _figure(run, name, run.plots[name], *_shown(run, name))
        for name in sorted(features, key=lambda name: places.get(features[name], len(places)))
    ]


def _feature(name: str) -> str:
    return name.partition("dependence")[2].strip("_-")


def learning_figure(run: RunArtifacts) -> Figure | None:
    """The learning curve, as training drew it."""
    for name in ("learning_curve", "learning"):
        if name in run.plots:
            words = "How the model does on the same test stays, fitted on parts of the patients."
            return _figure(run, name, run.plots[name], "Learning curve", words)
    return None


_ELSEWHERE = ("roc", "precision_recall", "calibration", "decision", "subgroup", "learning")
"""Plots of other sections, or that a report draws itself."""
_ORDER = ("beeswarm", "bar", "importance", "famil", "stability")


def _reading_order(name: str) -> tuple[int, str]:
    places = [place for place, word in enumerate(_ORDER) if word in name]
    return (places[0] if places else len(_ORDER), name)


def _shown(run: RunArtifacts, name: str) -> tuple[str, str]:
    """Title and words for a plot of the explanation, by its file's name."""
    if "beeswarm" in name:
        return "What moves each risk", (
            "Every dot is a test stay: to the right the feature raises its risk, to the left it "
            "lowers it; the colour is the feature's value. The table of features has the means."
        )
    if "dependence" in name:
        feature = feature_label(run, _feature(name))
        return feature, (
            "What the model adds to the log-odds of a stay at each value of this feature. It is an "
            "association, not what would happen if the value were changed."
        )
    if "famil" in name:
        return "Clinical families", "Features of a family together; the table has the numbers."
    if "stability" in name:
        return "Stability", "How often a feature is among the ten strongest over refits."
    if "bar" in name or "importance" in name:
        return "Strongest features", (
            "Mean absolute contribution to the log-odds; the table of features has the numbers."
        )
    return name.replace("_", " "), "Drawn when the model was trained."


def _figure(run: RunArtifacts, name: str, svg: str, title: str, words: str) -> Figure:
    key = "plot-" + "".join(c if c.isalnum() else "-" for c in name.lower())
    caption = f"{SIMULATED} {words}" if run.simulated else words
    drawn = inline_svg(svg, key, title, caption)
    # Made by inline_svg, which escapes every text and keeps only elements of its list.
    return Figure(key, Markup(drawn), f"{title}. {caption}")  # noqa: S704
