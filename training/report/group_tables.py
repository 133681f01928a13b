"""Whom the model works for, as tables."""

from collections.abc import Iterable

from training.findings import (
    Grouping,
    Measures,
    Subgroup,
)
from training.report.table import Cell, Row, Table, estimate
from training.words import (
    count,
    listed,
    measure_name,
    points,
)

BEDSIDE = ("auroc", "calibration_intercept", "calibration_slope", "sensitivity", "ppv")
"""The measures of a group that are shown first; the rest is in the appendix."""


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
            f"{points(grouping.equal_opportunity_difference)}."
        )
    if grouping.demographic_parity_difference is not None:
        note.append(
            "Demographic parity difference (largest difference of the share in the high band): "
            f"{points(grouping.demographic_parity_difference)}."
        )
    rows = tuple(_group_row(group, smallest) for group in grouping.groups)
    return Table(f"Test stays by {grouping.label.lower()}", tuple(columns), rows, " ".join(note))


def hidden_groups(grouping: Grouping, smallest: int) -> str:
    """A sentence in the place of a table of which nothing could be shown; empty where it can."""
    if not all(group.suppressed for group in grouping.groups):
        return ""
    names = listed([group.name for group in grouping.groups]) or "none on record"
    return f"Groups: {names}. {suppressed(smallest)}"


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
        f"Not shown: fewer than {smallest} stays or outcomes, or a number that would give such a "
        "group away."
    )


def _keys(measures: Iterable[Measures]) -> list[str]:
    return list(dict.fromkeys(key for each in measures for key in each))


def _counted(value: int | None) -> Cell:
    return Cell("not shown" if value is None else count(value))
