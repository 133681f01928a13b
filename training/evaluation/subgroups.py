"""For whom the model works: every measure within each group, and how far it is from the others.

A group is suppressed, that is named without a number, where it has fewer stays than the smallest
cell, or fewer of them with or without a readmission: its measures would say little, and could tell
what happened to whom. What is suppressed must not follow from what is shown either: the totals of
the test are known, so whatever is suppressed of an attribute must make up a cell that is large
enough taken together, and be more than one group. Until it is, the next smallest group goes too
(complementary suppression: Hundepool and others 2012, doi:10.1002/9781118348239). Stays whose
record does not say the attribute are no group, and are counted with the others in a gap. An
attribute that is recorded for fewer stays than the smallest cell counts as absent.

Each attribute is protected on its own: one attribute whose groups are unions of those of another
(hospitals and their wards) should not be asked for beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference

from training.evaluation.measures import Risk, measure_risk
from training.evaluation.resampling import Estimate, estimates
from training.findings import Fairness, Grouping, Subgroup
from training.study import EvaluationRules
from training.study_data import BoolArray, FloatArray
from training.words import attribute_name

_Key = tuple[str, str, str, str]
"""Attribute, group, ``within`` or ``others``, measure."""


@dataclass(frozen=True)
class _Group:
    attribute: str
    name: str
    stays: BoolArray
    readmissions: int

    @property
    def size(self) -> int:
        return int(self.stays.sum())


def fairness(
    risk: Risk,
    outcome: BoolArray,
    subjects: npt.NDArray[Any],
    groups: pd.DataFrame,
    *,
    high_from: float,
    rules: EvaluationRules,
    seed: int,
) -> Fairness:
    """Measure a risk within every group of the test stays, with intervals by patient.

    Args:
        risk: of the test stays.
        outcome: what happened.
        subjects: the patient of each stay.
        groups: a column for each attribute, a row for each stay; None where the record does not
            say. Attributes may be absent.
        high_from: the lowest probability of the high band.
        rules: attributes, smallest cell, resamples.
        seed: of the draws.
    """
    found = {
        attribute: each
        for attribute in rules.attributes
        if attribute in groups
        for each in [_groups(attribute, groups[attribute], outcome)]
        if sum(group.size for group in each) >= rules.smallest_cell
    }
    hidden = {name: suppressed_groups(each, rules.smallest_cell) for name, each in found.items()}
    shown = [
        group for name, each in found.items() for group in each if group.name not in hidden[name]
    ]
    measured = _measured(risk, outcome, subjects, shown, high_from, rules.resamples, seed)
    return Fairness(
        smallest_cell=rules.smallest_cell,
        groupings=tuple(
            _grouping(name, each, hidden[name], measured, risk.probability >= high_from, outcome)
            for name, each in found.items()
        ),
        absent=tuple(name for name in rules.attributes if name not in found),
    )


def _groups(attribute: str, column: pd.Series, outcome: BoolArray) -> list[_Group]:
    values = np.array([None if pd.isna(each) else str(each) for each in column], dtype=object)
    names = sorted({each for each in values if each is not None})
    masks = {name: values == name for name in names}
    return [_Group(attribute, name, mask, int(outcome[mask].sum())) for name, mask in masks.items()]


def suppressed_groups(groups: list[_Group], smallest_cell: int) -> set[str]:
    """Names of the groups of an attribute of which no number may be shown."""

    def small(stays: int, readmissions: int) -> bool:
        return min(stays, readmissions, stays - readmissions) < smallest_cell

    hidden = [group for group in groups if small(group.size, group.readmissions)]
    rest = sorted(
        (group for group in groups if group not in hidden),
        key=lambda group: (group.size, group.name),
    )
    while hidden and rest:
        together = sum(group.size for group in hidden), sum(group.readmissions for group in hidden)
        if len(hidden) > 1 and not small(*together):
            break
        hidden.append(rest.pop(0))
    return {group.name for group in hidden}


def _measured(
    risk: Risk,
    outcome: BoolArray,
    subjects: npt.NDArray[Any],
    groups: list[_Group],
    high_from: float,
    resamples: int,
    seed: int,
) -> dict[_Key, Estimate]:
    """Every measure within each group and among all other stays, on the same resamples."""

    def measure(weights: FloatArray) -> dict[_Key, FloatArray]:
        # The others of one of two groups are the other group: measured once.
        known: dict[bytes, dict[str, FloatArray]] = {}

        def among(stays: BoolArray) -> dict[str, FloatArray]:
            key = stays.tobytes()
            if key not in known:
                part = Risk(risk.ranking[stays], risk.probability[stays])
                known[key] = measure_risk(part, outcome[stays], weights[:, stays], high_from)
            return known[key]

        return {
            (group.attribute, group.name, part, name): drawn
            for group in groups
            for part, stays in _parts(group)
            for name, drawn in among(stays).items()
        }

    return estimates(measure, subjects, resamples=resamples, seed=seed)


def _parts(group: _Group) -> Iterator[tuple[str, BoolArray]]:
    yield "within", group.stays
    if not group.stays.all():
        yield "others", ~group.stays


def _grouping(
    attribute: str,
    groups: list[_Group],
    hidden: set[str],
    measured: dict[_Key, Estimate],
    high: BoolArray,
    outcome: BoolArray,
) -> Grouping:
    shown = [group for group in groups if group.name not in hidden]
    differences: dict[str, float | None] = {"opportunity": None, "parity": None}
    if len(shown) > 1:
        inside = np.any([group.stays for group in shown], axis=0)
        name = np.full(len(outcome), "", dtype=object)
        for group in shown:
            name[group.stays] = group.name
        told = outcome[inside].astype(int), high[inside].astype(int)
        differences = {
            "opportunity": float(
                equal_opportunity_difference(*told, sensitive_features=name[inside])
            ),
            "parity": float(demographic_parity_difference(*told, sensitive_features=name[inside])),
        }
    return Grouping(
        attribute=attribute,
        label=attribute_name(attribute),
        recorded=sum(group.size for group in groups),
        groups=tuple(
            _subgroup(group, measured) if group in shown else _suppressed(group) for group in groups
        ),
        equal_opportunity_difference=differences["opportunity"],
        demographic_parity_difference=differences["parity"],
    )


def _suppressed(group: _Group) -> Subgroup:
    return Subgroup(
        name=group.name, stays=None, readmissions=None, suppressed=True, measures={}, gaps={}
    )


def _subgroup(group: _Group, measured: dict[_Key, Estimate]) -> Subgroup:
    about = (group.attribute, group.name)
    within = {key[3]: each for key, each in measured.items() if key[:3] == (*about, "within")}
    others = {key[3]: each for key, each in measured.items() if key[:3] == (*about, "others")}
    return Subgroup(
        name=group.name,
        stays=group.size,
        readmissions=group.readmissions,
        suppressed=False,
        measures={name: each.interval() for name, each in within.items()},
        gaps={name: (within[name] - each).interval() for name, each in others.items()},
    )
