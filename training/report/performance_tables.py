"""How the model does on the test stays, as tables."""

from collections.abc import Sequence

from training.findings import (
    Capacity,
    Evaluation,
    Learning,
    Measures,
    NetBenefit,
)
from training.report.table import Cell, Table, estimate, plain_estimate, share_estimate, table
from training.risk_model import Interval
from training.words import (
    MEASURES,
    UNKNOWN,
    count,
    measure_name,
    number,
    peer_name,
    percent,
    threshold,
)

NOT_MEASURED = "\u2013"


def performance_table(evaluation: Evaluation, high_from: float) -> Table:
    """Every measure of the model and of what it is compared with.

    Args:
        evaluation: of the test stays.
        high_from: the risk at which the high band begins.

    """
    peers = {"model": evaluation.model, **evaluation.baselines}
    keys = list(dict.fromkeys(key for measures in peers.values() for key in measures))
    return table(
        f"Measures on the {count(evaluation.stays)} test stays, with 95 % intervals",
        ("Measure", *(peer_name(name) for name in peers), "Good is"),
        (
            (
                measure_name(key),
                *(
                    estimate(measures[key], key) if key in measures else Cell(NOT_MEASURED)
                    for measures in peers.values()
                ),
                MEASURES[key].ideal if key in MEASURES else "",
            )
            for key in keys
        ),
        f"Intervals: {count(evaluation.resamples)} bootstrap samples of the patients. LACE and "
        "HOSPITAL rank by their points; where a measure needs a probability, their points were "
        "fitted to this hospital, which flatters them. The high band begins at a risk of "
        f"{threshold(high_from)}. AUROC: area under the curve of sensitivity against false alarms; "
        "AUPRC: under that of precision against sensitivity; PPV: share of those in the band who "
        "come back.",
    )


def difference_table(differences: dict[str, Measures], caption: str) -> Table:
    """The model's measures minus those of its peers."""
    keys = list(dict.fromkeys(key for measures in differences.values() for key in measures))
    return table(
        caption,
        ("Measure", *(peer_name(name) for name in differences)),
        (
            (
                measure_name(key),
                *(
                    estimate(measures[key], key, signed=True)
                    if key in measures
                    else Cell(NOT_MEASURED)
                    for measures in differences.values()
                ),
            )
            for key in keys
        ),
        "This model minus the other, on the same samples of patients. An interval that holds 0 "
        "does not tell them apart. For Brier score and log loss, below 0 is better.",
    )


def calibration_table(evaluation: Evaluation) -> Table:
    """Observed against predicted in groups of stays by risk."""
    return table(
        "Calibration in groups of test stays by predicted risk",
        ("Group", "Stays", "Predicted", "Observed"),
        (
            (
                _position(position, len(evaluation.calibration.groups)),
                count(group.stays),
                percent(group.predicted),
                share_estimate(group.observed),
            )
            for position, group in enumerate(evaluation.calibration.groups, start=1)
        ),
    )


def _position(position: int, groups: int) -> str:
    ends = {1: "1 (lowest risks)", groups: f"{groups} (highest risks)"}
    return ends.get(position, f"{position}")


def decision_peers(points: Sequence[NetBenefit]) -> list[str]:
    """Whom a decision curve shows: not the same risk for all, which is acting on all or on none."""
    names = dict.fromkeys(name for point in points for name in point.peers)
    return [name for name in names if name != "prevalence"]


def decision_table(points: Sequence[NetBenefit]) -> Table:
    """Net benefit at every threshold looked at, at most some twenty of them."""
    step = max(1, len(points) // 20)
    shown = points[::step]
    peers = decision_peers(points)
    return table(
        "Net benefit: readmissions found per 1,000 stays, less the false alarms they cost",
        ("Acting from a risk of", "This model", *map(peer_name, peers), "Every stay"),
        (
            (
                threshold(point.threshold),
                _per_thousand(point.model),
                *(_per_thousand(point.peers.get(peer)) for peer in peers),
                number(1_000 * point.everyone, 1),
            )
            for point in shown
        ),
        "Acting on none has net benefit 0. Vickers 2006, doi:10.1177/0272989X06295361.",
    )


def capacity_table(capacities: Sequence[Capacity]) -> Table:
    """What following up the stays with the highest risks brings."""
    return table(
        "If a ward can follow up only so many",
        (
            "Highest risks",
            "Stays",
            "Risk from",
            "PPV",
            "Sensitivity",
            "Stays per readmission",
            "Alerts a week",
        ),
        (
            (
                percent(each.share, 0),
                count(each.stays),
                percent(each.threshold),
                share_estimate(each.ppv),
                share_estimate(each.sensitivity),
                plain_estimate(each.number_needed_to_evaluate, 1),
                "not known" if each.alerts_per_week is None else number(each.alerts_per_week, 1),
            )
            for each in capacities
        ),
        "PPV: share of those followed up who come back. Sensitivity: share of all who come back "
        "that are among them. Where dates are shifted per patient, a week means nothing.",
    )


def capacity_peers_table(capacities: Sequence[Capacity]) -> Table:
    """Who comes back among as many stays, by the model and by what it is compared with."""
    peers = list(dict.fromkeys(name for each in capacities for name in each.peers_ppv))
    return table(
        "PPV: share of those followed up who come back, if chosen by",
        ("Highest risks", "This model", *map(peer_name, peers)),
        (
            (
                percent(each.share, 0),
                share_estimate(each.ppv),
                *(share_estimate(each.peers_ppv.get(peer)) for peer in peers),
            )
            for each in capacities
        ),
    )


def learning_table(learning: Learning) -> Table:
    """Models fitted on parts of the training patients."""
    return table(
        "Fitted on part of the training patients, judged on the same test stays",
        ("Share of patients", "Stays", "Readmissions", "AUROC", "Log loss"),
        (
            (
                percent(each.share, 0),
                count(each.stays),
                count(each.readmissions),
                estimate(each.auroc, "auroc"),
                estimate(each.log_loss, "log_loss"),
            )
            for each in learning.points
        ),
    )


def _per_thousand(value: Interval | None) -> Cell:
    if value is None or value.value is None:
        return Cell(UNKNOWN)
    scaled = (
        None if each is None else 1_000 * each for each in (value.value, value.low, value.high)
    )
    return plain_estimate(Interval(*scaled), 1)
