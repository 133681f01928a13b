"""The stays of a period, as the model in use sees them, with their outcomes where time has told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from fhir_mappings.attributes import ATTRIBUTES
from fhir_mappings.errors import NoStaysError, RiskModelError, StudyError
from fhir_mappings.events import DAY
from fhir_mappings.features.declaration import Feature
from fhir_mappings.profiles import SiteProfile
from training.cohort.selection import CohortRules
from training.dataset import end_of_data, rows_for
from training.findings import RunFacts
from training.return_times import LEAVING, RETURN
from training.study_data import BoolArray, FloatArray
from training.study_records import Records, study_records

Progress = Callable[[str, int, int], None]
"""Told of each shard: what is being done, shards done, shards in all."""

_FACTS = "run.json"


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
    """What of ``ATTRIBUTES`` the records say; None where one does not."""
    days_to_readmission: FloatArray
    """To the unplanned readmission within the horizon; NaN where none is on record so far."""
    days_to_leaving: FloatArray
    """To the planned return or death within the horizon, without a readmission; NaN for none."""
    followed_until: int | None
    """Microseconds UTC up to which admissions are on record; None where dates are shifted."""

    def __len__(self) -> int:
        return len(self.subjects)


def stays_of_period(
    store: Records,
    profile: SiteProfile,
    features: Sequence[Feature],
    horizon_days: int,
    *,
    since: date | None = None,
    until: date | None = None,
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
        since: the first day of discharge that counts, local time.
        until: the day from which on discharges no longer count.
        followed_until: microseconds UTC up to which admissions are on record; None for the last
            encounter on record.
        progress: told of each shard.

    Raises:
        StudyError: if a period is asked for where dates are shifted per patient.
        SiteProfileError: if no stay is found among many encounters.
    """
    if not profile.calendar and (since is not None or until is not None):
        raise StudyError(
            f"the profile '{profile.name}' shifts dates per patient: a period means nothing there"
        )
    rules = CohortRules(
        horizon_days=horizon_days,
        follow_up=False,
        discharged_from=since,
        discharged_before=until,
    )
    store = study_records(store, profile)
    try:
        data = rows_for(store, profile, rules, features, progress=progress)
    except NoStaysError:
        return _nobody(len(features))
    discharged = data.stays["discharged"].dt.tz_localize(None).to_numpy("datetime64[us]")
    moments = discharged.astype(np.int64)
    end = followed_until
    if end is None and profile.calendar:
        end = end_of_data(store)
    matured = np.ones(len(data), dtype=bool)
    if profile.calendar and end is not None:
        matured = moments + horizon_days * DAY <= end
    there = [name for name in ATTRIBUTES if data.stays[name].notna().any()]
    return PeriodStays(
        values=data.values,
        subjects=data.subjects,
        discharged=moments,
        matured=matured,
        outcome=data.outcome,
        groups=data.stays[there],
        days_to_readmission=data.stays[RETURN].to_numpy(dtype=np.float64),
        days_to_leaving=data.stays[LEAVING].to_numpy(dtype=np.float64),
        followed_until=end if profile.calendar else None,
    )


def end_of_training(model: Path) -> date | None:
    """The last day of discharge of the data that a model was made from.

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
        last = msgspec.json.decode(content, type=RunFacts).last_discharge
        return None if last is None else date.fromisoformat(last)
    except (msgspec.DecodeError, ValueError) as error:
        raise RiskModelError(f"{_FACTS} of the model's run: {error}") from None


def _nobody(columns: int) -> PeriodStays:
    nothing = np.zeros(0, dtype=bool)
    return PeriodStays(
        values=np.zeros((0, columns), dtype=np.float32),
        subjects=np.zeros(0, dtype=object),
        discharged=np.zeros(0, dtype=np.int64),
        matured=nothing,
        outcome=nothing,
        groups=pd.DataFrame(),
        days_to_readmission=np.zeros(0),
        days_to_leaving=np.zeros(0),
        followed_until=None,
    )
