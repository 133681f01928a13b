"""From a store to a trained model: cohort, matrix, and the model in use beside it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from fhir_mappings.errors import StudyError
from fhir_mappings.profiles import SiteProfile
from training.cohort.external import ExternalCohort, read_cohort
from training.cohort.selection import CohortRules
from training.dataset import Progress as Reading
from training.dataset import rows_for, study_data
from training.explanation.discharge_records import check_records
from training.findings import RunFacts, Search
from training.fitted import Incumbent, Progress, fit_study
from training.promotion.evidence import read_evidence
from training.risk_model import champion, read_champion
from training.run_files import INTENDED_POPULATION, POPULATION_OF_A_FILE
from training.study import Study, parse_study
from training.study_data import StudyData
from training.study_records import Records, study_records
from training.tracking import run_folder
from training.train import TrainingResult, train
from training.tuning import settings_of


def run_study(
    store: Records,
    profile: SiteProfile,
    mlruns: Path,
    study: Study,
    *,
    tune: int = 0,
    cohort_file: Path | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Run a study on a store and register what comes of it.

    Args:
        store: the events, or the door to them where somebody is on the site's opt-out list.
        profile: how the site codes.
        mlruns: the folder of MLflow.
        study: every choice.
        tune: how many settings of the trees to try.
        cohort_file: a CSV with ``encounter_id,label`` that takes the cohort rules' place.
        reading: told of each shard.
        progress: told of each phase of training.

    Raises:
        StudyError: if the data cannot be split or hold one outcome only, or the study leaves a
            feature out that there is not.
        SiteProfileError: if the profile is plainly not that of the store.
        RiskModelError: if the model in use cannot be loaded.
    """
    external = None if cohort_file is None else read_cohort(cohort_file)
    store = study_records(store, profile)
    data = matrix(store, profile, study, external=external, progress=reading)
    return train(
        data,
        mlruns,
        study,
        tune=tune,
        incumbent=_incumbent(store, profile, mlruns, study, data, external),
        records=check_records(store, profile, data),
        population=INTENDED_POPULATION if external is None else POPULATION_OF_A_FILE,
        progress=progress,
    )


def matrix(
    store: Records,
    profile: SiteProfile,
    study: Study,
    *,
    external: ExternalCohort | None = None,
    progress: Reading | None = None,
) -> StudyData:
    """The stays of a study, with the features that it chose.

    Args:
        store: the events.
        profile: how the site codes.
        study: its cohort and features.
        external: stays and labels that take the cohort rules' place.
        progress: told of each shard.

    Raises:
        StudyError: if no stay is left, or the study leaves a feature out that there is not.
        SiteProfileError: if the profile is plainly not that of the store.
    """
    chosen = study.features
    data = study_data(
        store,
        profile,
        _rules(study, profile),
        vocabulary=chosen.vocabulary if chosen.use_vocabulary else None,
        external=external,
        progress=progress,
    )
    names = [feature.name for feature in data.features]
    if unknown := sorted(set(chosen.leave_out) - set(names)):
        raise StudyError(f"features.leave_out: no feature {', '.join(unknown)}")
    kept = np.array([name not in chosen.leave_out for name in names], dtype=np.bool_)
    features = tuple(f for f, keep in zip(data.features, kept, strict=True) if keep)
    return replace(
        data,
        features=features,
        values=data.values[:, kept],
        fingerprint=_fingerprint(data, chosen.leave_out),
    )


def _fingerprint(data: StudyData, leave_out: Sequence[str]) -> str:
    """The data's, or one of its own where features are left out.

    A search or a model made from the one says nothing of the other.
    """
    if not leave_out:
        return data.fingerprint
    told = "\n".join([data.fingerprint, *sorted(leave_out)])
    return hashlib.sha256(told.encode()).hexdigest()


def refit(store: Records, profile: SiteProfile, artifacts: Path) -> bytes:
    """The trees of a run, fitted anew from the records: what reproducibility means.

    A search is not made again: its best settings are among the run's files.

    Args:
        store: the records that the run was made from.
        profile: how the site codes.
        artifacts: the run's files.

    Returns:
        The trees as UBJSON, to be compared byte for byte.

    Raises:
        StudyError: if the store holds other records by now, or the run had a cohort of its own.
    """
    study = parse_study((artifacts / "study.json").read_bytes())
    facts = msgspec.json.decode((artifacts / "run.json").read_bytes(), type=RunFacts)
    data = matrix(store, profile, study)
    if data.fingerprint != facts.data_fingerprint:
        raise StudyError(
            "the run cannot be reproduced from this store: it holds other stays or records than "
            "the run was made from, or the run was given a cohort of its own"
        )
    found = artifacts / "search.json"
    if found.exists():
        search = msgspec.json.decode(found.read_bytes(), type=Search)
        trees = settings_of(search.trials[search.best], study.trees)
        study = msgspec.structs.replace(study, trees=trees)
    return fit_study(data, study, artifacts).booster()


def _rules(study: Study, profile: SiteProfile) -> CohortRules:
    """Follow-up is not asked for where dates are shifted: the end of the data is unknown there."""
    follow_up = study.cohort.follow_up and profile.calendar
    return msgspec.structs.replace(study.cohort, follow_up=follow_up)


def _incumbent(
    store: Records,
    profile: SiteProfile,
    mlruns: Path,
    study: Study,
    data: StudyData,
    external: ExternalCohort | None,
) -> Incumbent | None:
    """The model in use, with the values of its own features for the study's stays.

    A model that learned from another site's coding, or for another horizon, is no peer.
    """
    if read_champion(mlruns) is None:
        return None
    model = champion(mlruns)
    if (model.reference.profile, model.horizon_days) != (profile.name, data.horizon_days):
        return None
    place = {feature: column for column, feature in enumerate(_plain(data))}
    wanted = [msgspec.json.encode(feature) for feature in model.features]
    if all(feature in place for feature in wanted):
        values = data.values[:, [place[feature] for feature in wanted]]
        encounters = data.stays["encounter_id"].to_numpy(dtype=object)
    else:
        same = rows_for(store, profile, _rules(study, profile), model.features, external=external)
        encounters, values = same.stays["encounter_id"].to_numpy(dtype=object), same.values
    facts = read_evidence(run_folder(mlruns)).facts
    return Incumbent(model, encounters, values, None if facts is None else facts.training_sha256)


def _plain(data: StudyData) -> list[bytes]:
    """The declarations as bytes: they hold dictionaries, and cannot be compared by hash."""
    return [msgspec.json.encode(feature) for feature in data.features]
