"""Looking after a model in use: what has drifted, how well it holds, and what to look at."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt

from fhir_mappings.errors import StudyError
from fhir_mappings.profiles import SIMULATED, SiteProfile
from fhir_mappings.records.instants import as_datetime, from_datetime
from training.findings import Measures
from training.monitoring.alerts import (
    drifted_features,
    estimate_alerts,
    forecast_alerts,
    input_alerts,
    performance_alerts,
    profile_alerts,
    score_alerts,
)
from training.monitoring.drift import population_stability, score_stability
from training.monitoring.findings import ForecastCheck, MonitorReport, ScoreDrift
from training.monitoring.past_forecasts import check_forecasts
from training.monitoring.performance import ASSUMPTION, by_month, estimated, measured
from training.monitoring.period import PeriodStays, Progress, stays_of_period
from training.monitoring.unit_change import (
    UnitChange,
    measured_concepts,
    refused_values,
    unit_change_in_refused,
    unit_change_in_values,
)
from training.risk_model import RiskModel
from training.study import Study
from training.study_data import FloatArray
from training.study_records import Records, StudyRecords, study_records

BANDS = ("low", "moderate", "high")
NOT_RECORDED = "not recorded"
"""The group of stays whose record does not say an attribute."""


def monitor(
    store: Records,
    profile: SiteProfile,
    model: RiskModel,
    study: Study,
    *,
    since: date | None = None,
    until: date | None = None,
    trained_until: date | None = None,
    followed_until: datetime | None = None,
    made: datetime | None = None,
    progress: Progress | None = None,
) -> MonitorReport:
    """What became of a model in a period.

    Performance is measured on the stays whose horizon has passed, and estimated for all. With
    fewer stays than ``study.monitoring.fewest_stays`` nothing is said but that; the same number
    of matured stays is asked for before performance is.

    Args:
        store: the events.
        profile: how the site codes.
        model: in use.
        study: thresholds (``study.monitoring``), resamples and seed.
        since: the first day of discharge that counts, local time; None for all.
        until: the day from which on discharges no longer count; None for all.
        trained_until: the last day of the data that the model was made from, for the record
            (``period.end_of_training``).
        followed_until: up to when admissions are on record; None for the last encounter.
        made: when this is; None for now.
        progress: told of each shard.

    Raises:
        SiteProfileError: if no stay is found among many encounters.
        StudyError: if the period ends before it begins, or is asked for where dates are shifted
            per patient and a period means nothing.
    """
    if since is not None and until is not None and until <= since:
        raise StudyError("the period ends before it begins")
    store = study_records(store, profile)
    stays = stays_of_period(
        store,
        profile,
        model.features,
        model.horizon_days,
        since=since,
        until=until,
        followed_until=None if followed_until is None else from_datetime(followed_until),
        progress=progress,
    )
    facts = _facts(profile, model, study, stays, made or datetime.now(UTC))
    report = msgspec.structs.replace(
        facts, since=_day(since), until=_day(until), trained_until=_day(trained_until)
    )
    if not report.enough:
        read_otherwise = tuple(profile_alerts(model.reference.profile, profile.name))
        return msgspec.structs.replace(report, alerts=read_otherwise)
    bounds = _bounds(profile, since, until)
    risks = model.predict(stays.values)
    drifted = drifted_features(
        population_stability(model.reference, stays.values), model.reference, study.monitoring
    )
    return _judged(
        msgspec.structs.replace(
            report,
            drifted=drifted,
            unit_changes=_unit_changes(store, profile, model, stays.values, bounds),
            groups=_groups(model, stays, risks),
            outcomes=_outcomes(stays),
            scores=_scores(model, risks),
            performance=_performance(model, study, stays, risks),
            test=model.reference.test,
            estimate=estimated(
                risks,
                stays.subjects,
                model.reference.high_from,
                resamples=study.evaluation.resamples,
                seed=study.seed,
            ),
            estimate_assumes=ASSUMPTION,
            months=by_month(
                risks[stays.matured],
                stays.outcome[stays.matured],
                stays.discharged[stays.matured],
            )
            if profile.calendar
            else (),
            forecasts=_forecasts(model, stays, risks, bounds[1]),
        ),
        profile,
        model,
        study,
    )


def _bounds(
    profile: SiteProfile, since: date | None, until: date | None
) -> tuple[int | None, int | None]:
    """The period in microseconds UTC: days begin at the site's midnight."""
    zone = ZoneInfo(profile.timezone)
    first, end = (
        None if day is None else from_datetime(datetime.combine(day, time(), zone))
        for day in (since, until)
    )
    return first, end


def _facts(
    profile: SiteProfile,
    model: RiskModel,
    study: Study,
    stays: PeriodStays,
    made: datetime,
) -> MonitorReport:
    times = stays.discharged
    dated = profile.calendar and len(times) > 0
    return MonitorReport(
        made=made.astimezone(UTC).isoformat(timespec="seconds"),
        model=model.name,
        version=model.version,
        fingerprint=model.fingerprint,
        profile=profile.name,
        simulated=profile.name in SIMULATED,
        horizon_days=model.horizon_days,
        since=None,
        until=None,
        first_discharge=_iso(int(times.min())) if dated else None,
        last_discharge=_iso(int(times.max())) if dated else None,
        stays=len(stays),
        patients=len(set(stays.subjects.tolist())),
        enough=len(stays) > 0 and len(stays) >= study.monitoring.fewest_stays,
        matured=int(stays.matured.sum()),
        readmissions=int(stays.outcome[stays.matured].sum()),
        inputs=len(model.features),
        remaining_risk=model.reference.returns is not None,
    )


def _iso(at: int) -> str:
    return as_datetime(at).isoformat(timespec="seconds")


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _bands(model: RiskModel, risks: FloatArray) -> list[str]:
    return [model.band(risk) for risk in risks.tolist()]


def _groups(model: RiskModel, stays: PeriodStays, risks: FloatArray) -> dict[str, dict[str, int]]:
    bands = _bands(model, risks)
    counted = {"band": {band: bands.count(band) for band in BANDS}}
    for attribute in stays.groups:
        column = stays.groups[attribute].astype(object)
        counts = column.where(column.notna(), NOT_RECORDED).value_counts()
        counted[str(attribute)] = {str(name): int(counts[name]) for name in sorted(counts.index)}
    return counted


def _outcomes(stays: PeriodStays) -> dict[str, int]:
    readmitted = int(stays.outcome[stays.matured].sum())
    return {"readmitted": readmitted, "not readmitted": int(stays.matured.sum()) - readmitted}


def _scores(model: RiskModel, risks: FloatArray) -> ScoreDrift:
    psi, chance = score_stability(model.reference, risks)
    bands = _bands(model, risks)
    return ScoreDrift(
        psi=psi,
        chance=chance,
        mean=float(risks.mean()),
        prevalence=model.reference.prevalence,
        bands={band: bands.count(band) / len(bands) for band in BANDS},
    )


def _performance(model: RiskModel, study: Study, stays: PeriodStays, risks: FloatArray) -> Measures:
    if stays.matured.sum() < max(1, study.monitoring.fewest_stays):
        return {}
    return measured(
        risks[stays.matured],
        stays.outcome[stays.matured],
        stays.subjects[stays.matured],
        model.reference.high_from,
        resamples=study.evaluation.resamples,
        seed=study.seed,
    )


def _forecasts(
    model: RiskModel, stays: PeriodStays, risks: FloatArray, until: int | None
) -> ForecastCheck | None:
    curve, overdispersion = model.reference.returns, model.reference.overdispersion
    if curve is None or overdispersion is None:
        return None
    return check_forecasts(stays, risks, curve=curve, overdispersion=overdispersion, until=until)


def _unit_changes(
    store: StudyRecords,
    profile: SiteProfile,
    model: RiskModel,
    values: npt.NDArray[np.float32],
    bounds: tuple[int | None, int | None],
) -> tuple[UnitChange, ...]:
    """Changes of unit: in the values of inputs, and in what was refused as they were read.

    Every measured input is looked at, drifted or not: one laboratory of ten that changes its unit
    moves no decile.
    """
    concepts = measured_concepts(model.features, profile)
    refused = refused_values(
        store, profile, set(concepts.values()), since=bounds[0], until=bounds[1]
    )
    found = []
    for column, (feature, reference) in enumerate(
        zip(model.features, model.reference.features, strict=True)
    ):
        concept = concepts.get(feature.name)
        if concept is None:
            continue
        change = unit_change_in_values(feature, concept, reference, values[:, column])
        if change is None and feature.of == concept:
            change = unit_change_in_refused(feature, concept, reference, *refused[concept])
        if change is not None:
            found.append(change)
    return tuple(found)


def _judged(
    report: MonitorReport, profile: SiteProfile, model: RiskModel, study: Study
) -> MonitorReport:
    rules = study.monitoring
    # Every feature of a concept is explained by its change of unit, a slope or a change as well.
    concepts = {feature.name: feature.of for feature in model.features}
    concepts.update(measured_concepts(model.features, profile))
    descriptions = {feature.name: feature.description for feature in model.features}
    found = [
        *profile_alerts(model.reference.profile, profile.name),
        *performance_alerts(report.performance, report.test, rules),
        *(() if report.performance else estimate_alerts(report.estimate, report.test, rules)),
        *forecast_alerts(report.forecasts),
        *(() if report.scores is None else score_alerts(report.scores, rules)),
        *input_alerts(report.drifted, report.unit_changes, concepts, descriptions, rules),
    ]
    # Sorted by level alone: within one the order above is the order of weight.
    return msgspec.structs.replace(
        report, alerts=tuple(sorted(found, key=lambda alert: alert.level != "alert"))
    )
