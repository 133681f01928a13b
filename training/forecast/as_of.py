"""A forecast as it would have been made at some moment: only what was on record then is used."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np

from fhir_mappings.errors import RiskModelError, StudyError
from fhir_mappings.events import DAY
from fhir_mappings.profiles import SIMULATED, SiteProfile
from fhir_mappings.records.instants import as_datetime
from training.dataset import end_of_data
from training.forecast.forecast import UnitWeek, forecast
from training.forecast.units import pooled, units_of
from training.monitoring.period import PeriodStays, Progress, stays_of_period
from training.return_curve import FloatArray, ReturnCurve
from training.risk_model import RiskModel
from training.study_records import Records, study_records


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The readmissions to expect at a hospital, by unit and week."""

    as_of: str
    """When the first week begins, ISO 8601 UTC: the last encounter on record."""
    model: str
    version: str
    simulated: bool
    horizon_days: int
    overdispersion: float
    """Factor on the variance."""
    weeks: tuple[UnitWeek, ...]
    hidden: bool
    """Whether units are left out, since even together they have fewer than 11 patients at home."""


def forecast_as_of(
    stays: PeriodStays,
    risks: FloatArray,
    moment: int,
    *,
    curve: ReturnCurve,
    overdispersion: float,
    weeks: int,
) -> tuple[tuple[UnitWeek, ...], dict[str, tuple[str, ...]]]:
    """The coming weeks as of a moment, and which units each name stands for.

    Args:
        stays: every stay that ended within the last horizon; others may be among them.
        risks: of each stay, as predicted at its discharge.
        moment: microseconds UTC. What happened later is not looked at.
        curve: when readmissions happen.
        overdispersion: factor on the variance.
        weeks: how many.
    """
    age = (moment - stays.discharged) / DAY
    recent = (age >= 0) & (age < curve.horizon_days)
    age, units = age[recent], units_of(stays.groups)[recent]
    back = stays.days_to_readmission[recent] <= age
    left = stays.days_to_leaving[recent] <= age
    at_home = ~back & ~left
    shown = pooled(units, at_home)
    members = {
        str(name): tuple(sorted(set(units[shown == name])))
        for name in dict.fromkeys(shown)
        if name is not None
    }
    rows = forecast(
        risks[recent],
        age,
        units,
        at_home,
        curve=curve,
        overdispersion=overdispersion,
        weeks=weeks,
    )
    return rows, members


def forecast_of(
    store: Records,
    profile: SiteProfile,
    model: RiskModel,
    *,
    weeks: int,
    progress: Progress | None = None,
) -> Forecast:
    """The coming weeks after the last encounter on record.

    Args:
        store: the events.
        profile: how the site codes.
        model: in use.
        weeks: how many.
        progress: told of each shard.

    Raises:
        RiskModelError: if the model does not know when readmissions happen.
        StudyError: if dates are shifted per patient, or there is no encounter on record.
        SiteProfileError: if no stay is found among many encounters.
    """
    curve, overdispersion = what_it_takes(model)
    if not profile.calendar:
        raise StudyError(
            f"the profile '{profile.name}' shifts dates per patient: coming weeks "
            "mean nothing there"
        )
    records = study_records(store, profile)
    moment = end_of_data(records)
    if moment is None:
        raise StudyError("there is no encounter on record")
    stays = stays_of_period(
        records,
        profile,
        model.features,
        model.horizon_days,
        since=_a_horizon_before(moment, model.horizon_days),
        followed_until=moment,
        progress=progress,
    )
    risks = model.predict(stays.values) if len(stays) else np.zeros(0)
    rows, members = forecast_as_of(
        stays, risks, moment, curve=curve, overdispersion=overdispersion, weeks=weeks
    )
    shown = {unit for each in members.values() for unit in each}
    return Forecast(
        as_of=as_datetime(moment).astimezone(UTC).isoformat(timespec="seconds"),
        model=model.name,
        version=model.version,
        simulated=profile.name in SIMULATED,
        horizon_days=model.horizon_days,
        overdispersion=overdispersion,
        weeks=rows,
        hidden=bool(set(units_of(stays.groups)) - shown),
    )


def what_it_takes(model: RiskModel) -> tuple[ReturnCurve, float]:
    """When a model's readmissions happen, and how overdispersed they are.

    Raises:
        RiskModelError: if the model does not say: it was made before that was kept, from dates
            shifted per patient, or from too few readmissions.
    """
    curve, overdispersion = model.reference.returns, model.reference.overdispersion
    if curve is None or overdispersion is None:
        raise RiskModelError(
            f"the model {model.name} {model.version} does not say when readmissions happen: it was "
            "made before that was kept, from shifted dates, or from too few readmissions"
        )
    return curve, overdispersion


def _a_horizon_before(moment: int, horizon_days: int) -> date:
    """A day early, so that no time zone cuts the first discharges off."""
    at: datetime = as_datetime(moment)
    return (at - timedelta(days=horizon_days + 1)).date()
