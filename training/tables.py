"""Findings as pandas tables, one row an estimate, for whoever works in a notebook."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from training.findings import Evaluation, Fairness, Measures
from training.risk_model import Interval


def measures_table(evaluation: Evaluation) -> pd.DataFrame:
    """Every measure of the model and of its peers on the same test stays.

    Returns:
        Columns ``of`` (model, lace, ...), ``measure``, ``value``, ``low``, ``high``.
    """
    rows: list[dict[str, Any]] = list(_rows(evaluation.model, of="model"))
    for name, measures in evaluation.baselines.items():
        rows += _rows(measures, of=name)
    return pd.DataFrame(rows)


def differences_table(evaluation: Evaluation) -> pd.DataFrame:
    """The model's measures minus each peer's, on the same resampled patients.

    Returns:
        Columns ``minus``, ``measure``, ``value``, ``low``, ``high``.
    """
    rows: list[dict[str, Any]] = []
    for name, measures in evaluation.differences.items():
        rows += _rows(measures, minus=name)
    return pd.DataFrame(rows)


def groups_table(fairness: Fairness) -> pd.DataFrame:
    """Every measure within each group, and its gap to all other stays.

    Suppressed groups have one row without a measure: that they are there may be known.

    Returns:
        Columns ``attribute``, ``group``, ``stays``, ``suppressed``, ``measure``, ``value``,
        ``low``, ``high``, ``gap``, ``gap_low``, ``gap_high``.
    """
    rows = []
    for grouping in fairness.groupings:
        for group in grouping.groups:
            facts = {
                "attribute": grouping.attribute,
                "group": group.name,
                "stays": group.stays,
                "suppressed": group.suppressed,
            }
            if not group.measures:
                rows.append(facts)
            for row in _rows(group.measures, **facts):
                gap = group.gaps.get(row["measure"], Interval(None, None, None))
                rows.append(row | {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high})
    return pd.DataFrame(rows)


def net_benefit_table(evaluation: Evaluation) -> pd.DataFrame:
    """The decision curve.

    Returns:
        Columns ``threshold``, ``model``, ``low``, ``high``, ``everyone``.
    """
    return pd.DataFrame(
        [
            {
                "threshold": point.threshold,
                "model": point.model.value,
                "low": point.model.low,
                "high": point.model.high,
                "everyone": point.everyone,
            }
            for point in evaluation.net_benefit
        ]
    )


def _rows(measures: Measures, **facts: object) -> Iterator[dict[str, Any]]:
    named: Mapping[str, Interval] = measures
    for measure, interval in named.items():
        yield {
            **facts,
            "measure": measure,
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
        }
