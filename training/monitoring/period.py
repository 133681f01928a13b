"""The stays of a period, as the model in use sees them, with their outcomes where time has told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from fhir_mappings.errors import RiskModelError
from fhir_mappings.events import DAY
from fhir_mappings.features.declaration import Feature
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.store import Store
from training.cohort.selection import CohortRules, IndexStay, select
from training.dataset import end_of_data, timelines
from training.findings import RunFacts
from training.study_data import BoolArray

Progress = Callable[[str, int, int], None]
"""Told of each shard: what is being done, shards done, shards in all."""

_FACTS = "run.json"
_AGE_BANDS = ((18, 45), (45, 65), (65, 80), (80, 200))


@dataclass(frozen=True)
class PeriodStays:
    """Eligible stays of a period; all arrays have one entry a stay."""

    values: npt.NDArray[np.float32]
    """Stays x the model's features; NaN where missing."""
    subjects: npt.NDArray[Any]
    discharged: npt.NDArray[np.int64]
    """Microseconds UTC."""
    matured: BoolArray
    """Whether the horizon after discharge has passed, so that the outcome is known."""
    outcome: BoolArray
    """Whether an unplanned readmission is on record; says nothing where not matured."""
    groups: pd.DataFrame
    """Attributes by which stays are counted: ``sex``, ``age_band``."""

    def __len__(self) -> int:
        return len(self.subjects)


def stays_of_period(
    store: Store,
    profile: SiteProfile,
    features: Sequence[Feature],
    horizon_days: int,
    *,
    since: int | None = None,
    until: int | None = None,
    followed_until: int | None = None,
    progress: Progress | None = None,
) -> PeriodStays:
    """Every eligible stay that ended in a period, its row of features, and its outcome.

    The cohort's rules and the engine are those of training. A stay is matured when its horizon
    lies before the end of what is on record; where dates are shifted per patient that end is not
    known, and every stay counts as matured, as it did in training.

    Args:
        store: the events.
        profile: how the site codes.
        features: the model's own.
        horizon_days: the model's own.
        since: microseconds UTC; stays discharged from then on.
        until: microseconds UTC; stays discharged before.
        followed_until: microseconds UTC up to which admissions are on record; None for the last
            encounter on record.
        progress: told of each shard.
    """
    rules = CohortRules(horizon_days=horizon_days, follow_up=False)
    end = followed_until
    if end is None and profile.calendar:
        end = end_of_data(store)
    rows: list[list[float]] = []
    stays: list[IndexStay] = []
    for shard in range(store.shards):
        for timeline in timelines(store, shard, profile):
            for index in select(timeline, rules, None).index_stays:
                if _within(index, since, until):
                    view = View(timeline, index.stay, _discharge(index))
                    rows.append(view.row(features))
                    stays.append(index)
        if progress is not None:
            progress("monitor", shard + 1, store.shards)
    values = _single(rows, len(features))
    discharged = np.array([_discharge(index) for index in stays], dtype=np.int64)
    seen = np.ones(len(stays), dtype=bool)
    if profile.calendar and end is not None:
        seen = discharged + horizon_days * DAY <= end
    return PeriodStays(
        values=values,
        subjects=np.array([index.subject for index in stays], dtype=object),
        discharged=discharged,
        matured=seen,
        outcome=np.array([index.readmitted for index in stays], dtype=bool),
        groups=_groups(features, values),
    )


def end_of_training(model: Path) -> str | None:
    """The last discharge of the data that a model was made from, ISO 8601.

    Args:
        model: the risk model's folder, among the artifacts of its run.

    Returns:
        None where the run does not say, or the dates of its data mean nothing.

    Raises:
        RiskModelError: if the run's facts are there and cannot be read.
    """
    try:
        content = (model.parent / _FACTS).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=RunFacts).last_discharge
    except msgspec.DecodeError as error:
        raise RiskModelError(f"{_FACTS} of the model's run: {error}") from None


def _discharge(index: IndexStay) -> int:
    assert index.stay.end is not None  # noqa: S101 - a stay without an end is no index stay
    return index.stay.end


def _within(index: IndexStay, since: int | None, until: int | None) -> bool:
    discharge = _discharge(index)
    return (since is None or discharge >= since) and (until is None or discharge < until)


def _single(rows: list[list[float]], columns: int) -> npt.NDArray[np.float32]:
    """As in training: what single precision cannot hold was never measured."""
    exact = np.asarray(rows, dtype=np.float64).reshape(len(rows), columns)
    exact[np.abs(exact) > np.finfo(np.float32).max] = np.nan
    return exact.astype(np.float32)


def _groups(features: Sequence[Feature], values: npt.NDArray[np.float32]) -> pd.DataFrame:
    """Attributes that the model's own features tell."""
    table = pd.DataFrame(index=range(len(values)))
    for column, feature in enumerate(features):
        if feature.measure == "sex":
            table["sex"] = [{1.0: "female", 0.0: "male"}.get(v) for v in values[:, column]]
        elif feature.measure == "age":
            table["age_band"] = [_age_band(value) for value in values[:, column]]
    return table


def _age_band(age: float) -> str | None:
    for low, high in _AGE_BANDS:
        if low <= age < high:
            return f"{low} and over" if high == _AGE_BANDS[-1][1] else f"{low} to {high - 1}"
    return None
