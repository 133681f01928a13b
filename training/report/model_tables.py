"""What moves the model, and what may know the future, as tables."""

from collections.abc import Sequence

from training.explanation.importance import family_of
from training.explanation.labels import described, label
from training.findings import (
    Explanation,
    LeakageAudit,
    LeakFinding,
)
from training.report.artifacts import RunArtifacts
from training.report.table import Cell, Table, estimate, table
from training.words import (
    count,
    number,
    percent,
    sign_name,
)

SHOWN = 20


def feature_label(run: RunArtifacts, name: str) -> str:
    """A feature in a few words; its name where the model does not declare it."""
    return next((label(each) for each in run.features if each.name == name), name)


def strongest_table(run: RunArtifacts) -> Table:
    """The features that move risks most, with what they are."""
    declared = {feature.name: feature for feature in run.features}
    used = {feature.name: feature for feature in run.reference.features}
    strongest = run.explanation.strongest if run.explanation else run.strongest
    return table(
        "The features that move risks most",
        ("Feature", "What it is", "Family", "Mean size (log-odds)", "Missing in training"),
        (
            (
                feature_label(run, name),
                Cell(
                    described(declared[name]) if name in declared else "not declared in the model",
                    name,
                ),
                family_of(declared[name]).replace("_", " ") if name in declared else "",
                number(size),
                percent(used[name].missing) if name in used else "",
            )
            for name, size in strongest[:SHOWN]
        ),
        "Mean absolute contribution over test stays (TreeSHAP). Associations, not causes. "
        f"At most {SHOWN} are shown.",
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


def stability_table(run: RunArtifacts, explanation: Explanation) -> Table:
    """How steadily features belong to the ten strongest."""
    stability = explanation.stability
    return table(
        f"The strongest features over {count(stability.refits)} refits on resampled patients",
        ("Feature", "Times among the ten strongest", "Median rank"),
        (
            (
                feature_label(run, each.feature),
                f"{each.times_in_top_ten} of {stability.refits}",
                number(each.median_rank, 1),
            )
            for each in stability.features
        ),
    )


def leak_tables(run: RunArtifacts, leakage: LeakageAudit) -> list[Table]:
    """What the audit flagged, and the features that discriminate best alone."""
    tables = [
        _leak_table(caption, found)
        for caption, found in (
            ("Flagged by the audit", leakage.findings),
            ("To be borne in mind; no gate fails for it", leakage.cautions),
        )
        if found
    ]
    tables.append(
        table(
            "The best single features on the training stays",
            ("Feature", "AUROC alone"),
            ((feature_label(run, name), number(value)) for name, value in leakage.strongest_alone),
            f"A feature that reaches {number(leakage.limit, 2)} alone is looked at as a leak.",
        )
    )
    return tables


def _leak_table(caption: str, found: Sequence[LeakFinding]) -> Table:
    return table(
        caption,
        ("Feature", "Sign", "AUROC alone", "What was seen"),
        (
            (
                each.feature,
                sign_name(each.sign),
                estimate(each.auroc, "auroc") if each.auroc else "",
                each.sentence,
            )
            for each in found
        ),
    )
