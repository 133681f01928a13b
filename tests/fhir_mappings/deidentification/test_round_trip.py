"""Shifted records are as good as the true ones: the same stays, and the same returns."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from records import RECORDS, needs_records

from fhir_mappings.deidentification.dates import Dates
from fhir_mappings.deidentification.export import export
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import select_cohort
from training.simulated_hospital import simulate


def cohort(records: Path, store: Path, profile: SiteProfile) -> tuple[Any, ...]:
    """How many patients, stays, exclusions by reason, and returns."""
    ingest([records], store, profile)
    with open_store(store) as opened:
        found = select_cohort(opened, profile, CohortRules())
    return (
        found.patients,
        dict(found.cohort.counts),
        dict(found.cohort.excluded),
        found.flow,
        len(found.cohort.index_stays),
        found.readmissions,
    )


def shifted(records: Path, folder: Path, profile: SiteProfile) -> Path:
    export([records], folder, bytes(32), profile, dates=Dates.SHIFTED)
    return folder


def uncalendared(name: str) -> SiteProfile:
    """The profile for the same site where dates do not compare between patients."""
    return msgspec.structs.replace(load_profile(name), calendar=False)


def test_a_simulated_hospital_has_the_same_cohort(tmp_path):
    simulate(tmp_path / "records", 250, 3)
    profile = uncalendared("simulated")
    true = cohort(tmp_path / "records", tmp_path / "true", profile)
    out = shifted(tmp_path / "records", tmp_path / "out", profile)
    assert cohort(out, tmp_path / "told", profile) == true
    assert true[-2] > 100
    assert true[-1] > 10


@pytest.mark.slow
@pytest.mark.records
@needs_records
def test_mimic_has_the_same_cohort(tmp_path):
    profile = load_profile("mimic")
    records = RECORDS / "mimic-iv-demo-fhir"
    true = cohort(records, tmp_path / "true", profile)
    out = shifted(records, tmp_path / "out", profile)
    assert cohort(out, tmp_path / "told", profile) == true
