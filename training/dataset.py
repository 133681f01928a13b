"""From the store to the matrix that a study learns from, with the engine that scores a patient."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow.compute as pc

from fhir_mappings.attributes import attributes
from fhir_mappings.clinical_scores import hospital, lace
from fhir_mappings.errors import NoStaysError, SiteProfileError, StudyError
from fhir_mappings.features.declaration import Feature, declared_features
from fhir_mappings.features.engine import View, check
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.pseudonyms import Pseudonyms
from fhir_mappings.records.instants import as_datetime
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.timeline import Timeline
from training.cohort.external import ExternalCohort
from training.cohort.selection import (
    CohortRules,
    FlowStep,
    IndexStay,
    PatientCohort,
    combine,
    external_flow,
    flow_table,
    refused,
    select,
)
from training.study_data import StudyData
from training.study_records import Records, StudyRecords, number_of, study_records
from training.vocabulary import VocabularyRules, discover

Progress = Callable[[str, int, int], None]
"""Told of each shard: what is being done, shards done, shards in all."""


@dataclass(frozen=True)
class Cohort:
    """A store's index stays, with the counts that explain them."""

    patients: int
    cohort: PatientCohort
    flow: list[FlowStep]

    @property
    def readmissions(self) -> int:
        """Index stays that were followed by an unplanned readmission."""
        return sum(stay.readmitted for stay in self.cohort.index_stays)


def timelines(store: Records, shard: int, profile: SiteProfile) -> Iterator[Timeline]:
    """The patients of one shard who may be learned from."""
    return study_records(store, profile).timelines(shard)


def end_of_data(store: Records) -> int | None:
    """The last discharge or admission on record: what happened later cannot be known.

    The 99.9th percentile of encounters' starts is taken, so that a single slip into the future
    does not open the follow-up of everybody else.
    """
    starts: list[np.ndarray[Any, Any]] = []
    for table in store.tables(["time", "kind", "code"]):
        wanted = pc.starts_with(pc.cast(table.column("code"), "string"), "readmit/encounter|")
        times = table.filter(wanted).column("time").cast("int64").drop_null()
        starts.append(times.to_numpy())
    every = np.concatenate(starts) if starts else np.array([], dtype=np.int64)
    if not len(every):
        return None
    return int(np.quantile(every, 0.999, method="higher"))


def select_cohort(
    store: Records,
    profile: SiteProfile,
    rules: CohortRules,
    progress: Progress | None = None,
    *,
    external: ExternalCohort | None = None,
) -> Cohort:
    """Index stays and outcomes of every patient in a store.

    Args:
        store: the events.
        profile: how the site codes.
        rules: the cohort.
        progress: told of each shard.
        external: the stays and labels that replace the rules, from ``read_cohort``.

    Raises:
        SiteProfileError: if no stay is found among many encounters: the profile is not the site's.
        StudyError: if discharge dates are asked for where dates are shifted per patient, or are in
            the wrong order; if the external cohort names two encounters of one stay.

    """
    _check_dates(rules, profile)
    records = study_records(store, profile)
    until = end_of_data(records) if profile.calendar else None
    parts = [refused(timeline, external) for timeline in records.refusing()]
    for shard in range(records.shards):
        for timeline in records.timelines(shard):
            part = select(timeline, rules, until, external, opt_outs=records.opt_outs)
            if part.counts["stays"]:
                parts.append(part)
        if progress is not None:
            progress("cohort", shard + 1, records.shards)
    whole = combine(parts)
    if not whole.counts["stays_apart"]:
        raise SiteProfileError(_no_stays(records, profile))
    if external is not None:
        flow = external_flow(external, whole)
    else:
        flow = flow_table(whole.counts["stays_apart"], whole.excluded)
    return Cohort(records.patients(), whole, flow)


def _check_dates(rules: CohortRules, profile: SiteProfile) -> None:
    first, end = rules.discharged_from, rules.discharged_before
    if first is None and end is None:
        return
    if not profile.calendar:
        raise StudyError(
            "the study asks for discharges between dates, but this site's dates are shifted for "
            "each patient and do not compare"
        )
    if first is not None and end is not None and first >= end:
        raise StudyError(
            "no discharge is both from discharged_from on and before discharged_before"
        )


def _no_stays(store: StudyRecords, profile: SiteProfile) -> str:
    classes: dict[str, int] = {}
    for table in store.tables(["code", "text_value"]):
        wanted = pc.starts_with(pc.cast(table.column("code"), "string"), "readmit/encounter|")
        for text in table.filter(wanted).column("text_value").to_pylist():
            name = (text or "none").partition(" ")[0]
            classes[name] = classes.get(name, 0) + 1
    seen = ", ".join(f"{name} {n}" for name, n in sorted(classes.items(), key=lambda i: -i[1])[:8])
    return (
        f"0 inpatient stays found among {sum(classes.values())} encounters with the site profile "
        f"'{profile.name}'; classes seen: {seen or 'none'}"
    )


def study_data(
    store: Records,
    profile: SiteProfile,
    rules: CohortRules,
    *,
    vocabulary: VocabularyRules | None = None,
    external: ExternalCohort | None = None,
    progress: Progress | None = None,
) -> StudyData:
    """The matrix of a study: declared and vocabulary features of every index stay.

    Args:
        store: the events.
        profile: how the site codes.
        rules: the cohort.
        vocabulary: how vocabulary features are found; None for declared features alone.
        external: the stays and labels that replace the rules, from ``read_cohort``.
        progress: told of each shard.

    Raises:
        SiteProfileError: as ``select_cohort``.
        StudyError: if there is no index stay; else as ``select_cohort``.
        DeclarationError: if a feature asks for something that does not exist.

    """
    records = study_records(store, profile)
    cohort = select_cohort(records, profile, rules, progress, external=external)
    features = declared_features()
    check(features, site_concepts(profile).names())
    if vocabulary is not None:
        features += discover(records, site_concepts(profile), features, vocabulary)
    return _rows_of(records, profile, rules, cohort, features, progress)


def rows_for(
    store: Records,
    profile: SiteProfile,
    rules: CohortRules,
    features: Sequence[Feature],
    *,
    external: ExternalCohort | None = None,
    progress: Progress | None = None,
) -> StudyData:
    """The rows of a model's own features: what monitoring compares with what the model learned.

    Nothing is discovered: the columns are the given features, in their order. A period is given by
    the rules' discharge dates; with ``follow_up=False`` they hold stays whose outcome is not known
    yet, and then ``outcome`` is False for those that have not come back so far.

    Args:
        store: the events.
        profile: how the site codes.
        rules: the cohort.
        features: the declarations that the model carries.
        external: the stays and labels that replace the rules, from ``read_cohort``.
        progress: told of each shard.

    Raises:
        SiteProfileError: as ``select_cohort``.
        StudyError: if there is no index stay; else as ``select_cohort``.
        DeclarationError: if a feature asks for something that does not exist.

    """
    check(features, site_concepts(profile).names())
    records = study_records(store, profile)
    cohort = select_cohort(records, profile, rules, progress, external=external)
    return _rows_of(records, profile, rules, cohort, tuple(features), progress)


def _rows_of(
    store: StudyRecords,
    profile: SiteProfile,
    rules: CohortRules,
    cohort: Cohort,
    features: tuple[Feature, ...],
    progress: Progress | None,
) -> StudyData:
    """A row of these features for each index stay."""
    if not cohort.cohort.index_stays:
        raise NoStaysError("no index stay is left after the exclusions; see the flow table")
    by_patient: dict[str, list[IndexStay]] = {}
    for index in cohort.cohort.index_stays:
        by_patient.setdefault(index.subject, []).append(index)
    rows: list[list[float]] = []
    stays: list[dict[str, Any]] = []
    encounters: list[str] = []
    for shard in range(store.shards):
        for timeline in store.timelines(shard):
            for index in by_patient.get(timeline.subject, ()):
                values, facts = _row(timeline, index, features, store.pseudonyms)
                encounters.append(index.encounter)
                rows.append(values)
                stays.append(facts)
        if progress is not None:
            progress("features", shard + 1, store.shards)
    return _assembled(rows, stays, encounters, features, cohort, rules, profile)


def _row(
    timeline: Timeline, index: IndexStay, features: Sequence[Feature], pseudonyms: Pseudonyms
) -> tuple[list[float], dict[str, Any]]:
    discharged = index.stay.end
    if discharged is None:
        raise StudyError("an index stay has no discharge")
    view = View(timeline, index.stay, discharged)
    facts = {
        "encounter_id": pseudonyms.of("Encounter", index.encounter),
        "subject": pseudonyms.of("Patient", index.subject),
        "number": number_of(index.subject),
        "admitted": as_datetime(index.stay.start),
        "discharged": as_datetime(discharged),
        "lace": float(lace(view).points),
        "hospital": float(hospital(view).points),
        "died_within_horizon": index.died_within_horizon,
        "days_to_readmission": index.days_to_readmission,
        "days_to_leaving": index.days_to_leaving,
        **attributes(view),
        "readmitted": index.readmitted,
    }
    return view.row(features), facts


def _assembled(
    rows: list[list[float]],
    stays: list[dict[str, Any]],
    encounters: list[str],
    features: tuple[Feature, ...],
    cohort: Cohort,
    rules: CohortRules,
    profile: SiteProfile,
) -> StudyData:
    exact = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(features))
    # One absurd number in one record must not stop a whole study: what single precision cannot
    # hold was never measured, and is taken as missing.
    exact[np.abs(exact) > np.finfo(np.float32).max] = np.nan
    values = exact.astype(np.float32)
    table = pd.DataFrame(stays)
    for days in ("days_to_readmission", "days_to_leaving"):
        table[days] = table[days].astype(np.float64)
    outcome = table.pop("readmitted").to_numpy(dtype=bool)
    subjects = table.pop("number").to_numpy(dtype=object)
    digest = hashlib.sha256(values.tobytes())
    digest.update(outcome.tobytes())
    # Of the ids, so that the same records have one fingerprint in every store, whatever its key.
    digest.update("\n".join(encounters).encode())
    digest.update(msgspec.json.encode(features))
    return StudyData(
        features=features,
        values=values,
        outcome=outcome,
        subjects=subjects,
        stays=table,
        calendar=profile.calendar,
        horizon_days=rules.horizon_days,
        fingerprint=digest.hexdigest(),
        flow=[msgspec.to_builtins(step) for step in cohort.flow],
        profile=profile.name,
    )
