"""The tables of a report, as data: a caption, columns, rows, and a note."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from training.findings import (
    Capacity,
    ChampionChanges,
    Evaluation,
    Explanation,
    GateResult,
    Grouping,
    LeakageAudit,
    Learning,
    Measures,
    NetBenefit,
    Search,
    Subgroup,
)
from training.report.artifacts import RunArtifacts
from training.report.words import (
    MEASURES,
    MINUS,
    THIN,
    UNKNOWN,
    count,
    interval,
    measure_name,
    number,
    peer_name,
    percent,
    sign_name,
)
from training.risk_model import Interval

SHOWN_TRIALS = 20
NOT_MEASURED = "\u2013"
_NUMERIC = re.compile(rf"[+{MINUS}]?[\d,.]+(?:{THIN}%| points| of \d+)?")
BEDSIDE = ("auroc", "calibration_intercept", "calibration_slope", "sensitivity", "ppv")
"""The measures of a group that are shown first; the rest is in the appendix."""


class Cell(NamedTuple):
    """What stands in a cell, and what stands small below it."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class Row:
    """A row: its heading, and its cells or one remark across all of them."""

    head: str
    cells: tuple[Cell, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """A table for a reader."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether a column holds numbers, which stand under each other, and not text."""
        columns = zip(*(row.cells for row in self.rows if row.cells), strict=False)
        shares = [[bool(_NUMERIC.fullmatch(cell.text)) for cell in column] for column in columns]
        found = tuple(2 * sum(share) >= len(share) for share in shares)
        return (False, *(found or (True,) * (len(self.columns) - 1)))


def estimate(value: Interval | None, key: str, *, signed: bool = False) -> Cell:
    """An estimate with its interval below it."""
    text, _, below = interval(value, key, signed=signed).partition(" (")
    return Cell(text, below.removesuffix(")"))


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str | Cell]], note: str = ""
) -> Table:
    """A table whose rows start with their heading."""
    made = tuple(
        Row(
            str(first),
            tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in rest),
        )
        for first, *rest in rows
    )
    return Table(caption, tuple(columns), made, note)


def performance_table(evaluation: Evaluation) -> Table:
    """Every measure of the model and of what it is compared with."""
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
        "fitted to this hospital, which flatters them.",
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
                f"{position}",
                count(group.stays),
                percent(group.predicted),
                _share(group.observed),
            )
            for position, group in enumerate(evaluation.calibration.groups, start=1)
        ),
    )


def decision_table(points: Sequence[NetBenefit]) -> Table:
    """Net benefit at every threshold looked at, at most some twenty of them."""
    step = max(1, len(points) // 20)
    shown = points[::step]
    peers = list(dict.fromkeys(name for point in points for name in point.peers))
    return table(
        "Net benefit: readmissions found per 1,000 stays, less the false alarms they cost",
        ("Acting from a risk of", "This model", *map(peer_name, peers), "Every stay"),
        (
            (
                percent(point.threshold, 0),
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
    peers = list(dict.fromkeys(name for each in capacities for name in each.peers_ppv))
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
            *(f"PPV of {peer_name(peer)}" for peer in peers),
        ),
        (
            (
                percent(each.share, 0),
                count(each.stays),
                percent(each.threshold),
                _share(each.ppv),
                _share(each.sensitivity),
                _plain(each.number_needed_to_evaluate, 1),
                "not known" if each.alerts_per_week is None else number(each.alerts_per_week, 1),
                *(_share(each.peers_ppv.get(peer)) for peer in peers),
            )
            for each in capacities
        ),
        "PPV: share of those followed up who come back. Sensitivity: share of all who come back "
        "that are among them. Where dates are shifted per patient, a week means nothing.",
    )


def group_table(grouping: Grouping, smallest: int) -> Table:
    """Whom of an attribute the model works for."""
    columns = ["Group", "Stays", "Readmissions"]
    for key in BEDSIDE:
        columns.append(measure_name(key))
        if key in ("auroc", "sensitivity"):
            columns.append("Gap to the others")
    note = [f"{grouping.label} is on record for {count(grouping.recorded)} test stays."]
    if grouping.equal_opportunity_difference is not None:
        note.append(
            "Equal opportunity difference (largest difference of sensitivity between groups): "
            f"{number(grouping.equal_opportunity_difference)}."
        )
    if grouping.demographic_parity_difference is not None:
        note.append(
            "Demographic parity difference (largest difference of the share in the high band): "
            f"{number(grouping.demographic_parity_difference)}."
        )
    rows = tuple(_group_row(group, smallest) for group in grouping.groups)
    return Table(f"Test stays by {grouping.label.lower()}", tuple(columns), rows, " ".join(note))


def _group_row(group: Subgroup, smallest: int) -> Row:
    if group.suppressed:
        return Row(group.name, remark=suppressed(smallest))
    cells = [_counted(group.stays), _counted(group.readmissions)]
    for key in BEDSIDE:
        cells.append(estimate(group.measures.get(key), key))
        if key in ("auroc", "sensitivity"):
            cells.append(estimate(group.gaps.get(key), key, signed=True))
    return Row(group.name, tuple(cells))


def group_appendix(grouping: Grouping, smallest: int) -> list[Table]:
    """The measures and gaps of an attribute's groups that its first table leaves out."""
    measures = _keys(group.measures for group in grouping.groups)
    gaps = _keys(group.gaps for group in grouping.groups)
    shown = [group for group in grouping.groups if not group.suppressed]
    if not shown:
        return []
    rest = [key for key in measures if key not in BEDSIDE]
    apart = [key for key in gaps if key not in ("auroc", "sensitivity")]
    tables = []
    for caption, keys, signed in (
        (f"{grouping.label}: further measures", rest, False),
        (f"{grouping.label}: further gaps to all other stays", apart, True),
    ):
        if keys:
            rows = tuple(
                Row(group.name, remark=suppressed(smallest))
                if group.suppressed
                else Row(
                    group.name,
                    tuple(
                        estimate(
                            (group.gaps if signed else group.measures).get(key), key, signed=signed
                        )
                        for key in keys
                    ),
                )
                for group in grouping.groups
            )
            tables.append(Table(caption, ("Group", *map(measure_name, keys)), rows))
    return tables


def suppressed(smallest: int) -> str:
    """What stands where a group is too small to be shown."""
    return (
        f"Not shown: fewer than {smallest} stays or outcomes, or such a group could be worked out "
        "from this one."
    )


def strongest_table(run: RunArtifacts) -> Table:
    """The features that move risks most, with what they are."""
    declared = {feature.name: feature for feature in run.features}
    used = {feature.name: feature for feature in run.reference.features}
    strongest = run.explanation.strongest if run.explanation else run.strongest
    return table(
        "The twenty features that move risks most",
        ("Feature", "What it is", "Family", "Mean size (log-odds)", "Missing in training"),
        (
            (
                name,
                declared[name].description if name in declared else "not declared in the model",
                declared[name].family.replace("_", " ") if name in declared else "",
                number(size),
                percent(used[name].missing) if name in used else "",
            )
            for name, size in strongest[:20]
        ),
        "Mean absolute contribution over test stays (TreeSHAP). Associations, not causes.",
    )


def family_table(explanation: Explanation) -> Table:
    """What clinical families of features move together."""
    return table(
        "Clinical families of features",
        ("Family", "Features", "Mean size (log-odds)", "Share"),
        (
            (
                each.family.replace("_", " "),
                count(each.features),
                number(each.size),
                percent(each.share),
            )
            for each in explanation.families
        ),
    )


def stability_table(explanation: Explanation) -> Table:
    """How steadily features belong to the ten strongest."""
    stability = explanation.stability
    return table(
        f"The strongest features over {count(stability.refits)} refits on resampled patients",
        ("Feature", "Times among the ten strongest", "Median rank"),
        (
            (
                each.feature,
                f"{each.times_in_top_ten} of {stability.refits}",
                number(each.median_rank, 1),
            )
            for each in stability.features
        ),
    )


def leak_tables(leakage: LeakageAudit) -> list[Table]:
    """What the audit flagged, and the features that discriminate best alone."""
    tables = []
    if leakage.findings:
        tables.append(
            table(
                "Flagged by the audit",
                ("Feature", "Sign", "AUROC alone", "What was seen"),
                (
                    (
                        each.feature,
                        sign_name(each.sign),
                        estimate(each.auroc, "auroc") if each.auroc else "",
                        each.sentence,
                    )
                    for each in leakage.findings
                ),
            )
        )
    tables.append(
        table(
            "The best single features on the training stays",
            ("Feature", "AUROC alone"),
            ((name, number(value)) for name, value in leakage.strongest_alone),
            f"A feature that reaches {number(leakage.limit, 2)} alone is looked at as a leak.",
        )
    )
    return tables


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


def search_table(search: Search) -> Table:
    """The best settings that were tried."""
    complete = [trial for trial in search.trials if trial.loss is not None]
    shown = sorted(complete, key=lambda trial: (trial.loss or 0.0, trial.number))[:SHOWN_TRIALS]
    names = sorted({name for trial in shown for name in trial.settings})
    return table(
        f"The best {len(shown)} of {len(search.trials)} settings tried",
        ("Trial", "Log loss, out of fold", "State", *(name.replace("_", " ") for name in names)),
        (
            (
                f"{trial.number} (chosen)" if trial.number == search.best else f"{trial.number}",
                number(trial.loss, 5),
                trial.state,
                *(f"{trial.settings[name]:g}" if name in trial.settings else "" for name in names),
            )
            for trial in shown
        ),
    )


def change_tables(changes: ChampionChanges) -> list[Table]:
    """Choices and facts that differ from the run of the model in use."""
    return [
        table(
            caption,
            (what, "Model in use", "This model"),
            ((change.name, change.before, change.after) for change in found),
        )
        for caption, what, found in (
            ("Choices that changed", "Choice", changes.settings),
            ("Data and software that changed", "Fact", changes.data),
        )
        if found
    ]


def gate_table(gates: Sequence[GateResult]) -> Table:
    """What each gate said."""
    return table(
        "Gates",
        ("Gate", "Result", "Why"),
        ((each.gate.replace("_", " "), gate_word(each), _why(each)) for each in gates),
    )


def gate_word(result: GateResult) -> str:
    """Passed, waived or failed."""
    if result.passed:
        return "passed"
    if result.waived:
        return f"waived by {', '.join(waiver.by for waiver in result.waivers)}"
    return "failed"


def _why(result: GateResult) -> str:
    """What failed comes first: a reader in a hurry reads no further."""
    return " ".join((*result.failures, *result.sentences, *result.unjudged))


def choice_table(run: RunArtifacts) -> Table:
    """Every choice of the study, defaults too."""
    rows = [
        (place, value) for place, value in _choices(msgspec.to_builtins(run.study)) if value != ""
    ]
    return table("Choices of the study", ("Choice", "Value"), rows)


def fact_table(run: RunArtifacts) -> Table:
    """What it takes to make the run again, and to know that it is the same."""
    facts = run.facts
    between = (
        f"{facts.first_discharge} to {facts.last_discharge}"
        if facts.first_discharge and facts.last_discharge
        else "not shown: dates are shifted per patient"
    )
    rows = [
        ("Study", facts.study_name),
        ("SHA-256 of the study", facts.study_sha256),
        ("Fingerprint of the data", facts.data_fingerprint),
        ("SHA-256 of the model's manifest", run.model_sha256),
        ("Version of the code", facts.code_version),
        ("Seed", str(facts.seed)),
        ("Site profile", facts.profile),
        ("Records", "simulated" if facts.simulated else "of a hospital"),
        ("Discharges", between),
        ("Split", facts.split),
        ("Features", f"{count(facts.features)} offered, {count(facts.features_used)} used"),
        ("Trees", count(facts.trees)),
        (
            "Calibration",
            f"logit p = {number(run.calibration.slope)} x margin "
            f"{number(run.calibration.intercept, signed=True)}",
        ),
        *((f"Version of {name}", version) for name, version in facts.packages.items()),
    ]
    return table("Facts of the run", ("Fact", "Value"), rows)


def _choices(value: object, place: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for name, each in value.items()
            for pair in _choices(each, f"{place}.{name}" if place else str(name))
        ]
    if isinstance(value, list | tuple):
        if any(isinstance(each, dict) for each in value):
            return [
                pair
                for position, each in enumerate(value, start=1)
                for pair in _choices(each, f"{place} {position}")
            ]
        return [(place, ", ".join(map(str, value)) or "none")]
    if isinstance(value, bool):
        return [(place, "yes" if value else "no")]
    return [(place, str(value))]


def _keys(measures: Iterable[Measures]) -> list[str]:
    return list(dict.fromkeys(key for each in measures for key in each))


def _counted(value: int | None) -> Cell:
    return Cell("not shown" if value is None else count(value))


def _share(value: Interval | None) -> Cell:
    """An interval of a share, as percentages."""
    return estimate(value, "ppv")


def _plain(value: Interval, digits: int) -> Cell:
    text, _, below = interval(value, digits=digits).partition(" (")
    return Cell(text, below.removesuffix(")"))


def _per_thousand(value: Interval | None) -> Cell:
    if value is None or value.value is None:
        return Cell(UNKNOWN)
    scaled = (
        None if each is None else 1_000 * each for each in (value.value, value.low, value.high)
    )
    return _plain(Interval(*scaled), 1)
