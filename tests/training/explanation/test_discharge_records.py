"""Rows computed anew from what was known at the discharge; every patient is made up."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from records import condition, encounter, ingested, lab, ndjson, patient

from fhir_mappings.errors import StudyError
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.pseudonyms import store_pseudonyms
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.explanation.discharge_records import check_records
from training.simulated_hospital import simulate

DEFAULT = load_profile("default")
SIMULATED = load_profile("simulated")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder / "records", 50, 4)
    ingest([folder / "records"], folder / "store", SIMULATED, shards=2)
    with open_store(folder / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def data(store):
    return study_data(store, SIMULATED, CohortRules())


def by_name(found):
    return {each.feature: each for each in found}


def test_no_value_of_the_simulated_hospital_knows_what_came_later(store, data):
    found = check_records(store, SIMULATED, data)
    assert [each.feature for each in found] == [feature.name for feature in data.features]
    assert {each.stays for each in found} == {len(data)}
    assert {each.later for each in found} == {0.0}


def test_a_column_made_with_hindsight_is_found_and_no_other(store, data):
    """Stays of the past year, the readmission counted among them."""
    column = [feature.name for feature in data.features].index("admissions_year")
    values = data.values.copy()
    values[:, column] += data.outcome
    found = by_name(check_records(store, SIMULATED, replace(data, values=values)))
    assert found.pop("admissions_year").later == pytest.approx(data.outcome.mean())
    assert {each.later for each in found.values()} == {0.0}


def test_a_value_where_the_record_has_none_counts_as_another(store, data):
    column = [feature.name for feature in data.features].index("lactate_maximum")
    missing = np.isnan(data.values[:, column])
    values = data.values.copy()
    values[missing, column] = 1.0
    found = by_name(check_records(store, SIMULATED, replace(data, values=values)))
    assert missing.any()
    assert found["lactate_maximum"].later == pytest.approx(missing.mean())


def test_a_column_that_no_record_gives_is_told_apart(store, data):
    external = msgspec.structs.replace(
        data.features[0], name="external", measure="present", of="no.such_concept"
    )
    wider = replace(
        data,
        features=(*data.features, external),
        values=np.column_stack([data.values, data.outcome.astype(np.float32)]),
    )
    found = by_name(check_records(store, SIMULATED, wider))
    assert found["external"].stays == 0
    assert found["age"].stays == len(data)


def test_no_more_stays_are_computed_than_asked_for(store, data):
    assert {each.stays for each in check_records(store, SIMULATED, data, most=7)} == {7}


def test_a_store_that_has_changed_since_is_refused(store, data):
    stays = data.stays.assign(encounter_id=[f"other-{row}" for row in range(len(data))])
    with pytest.raises(StudyError, match="changed"):
        check_records(store, SIMULATED, replace(data, stays=stays))
    strangers = np.array([f"nobody-{row}" for row in range(len(data))], dtype=object)
    with pytest.raises(StudyError, match="no patient"):
        check_records(store, SIMULATED, replace(data, subjects=strangers))


@pytest.mark.parametrize(
    ("recorded", "known", "assumed"),
    [
        ({}, "when-recorded", 1.0),
        ({"recordedDate": "2024-03-02T09:00:00Z"}, "when-recorded", 0.0),
        ({}, "after-discharge", 0.0),
    ],
)
def test_a_diagnosis_without_a_time_is_only_assumed_to_be_known(tmp_path, recorded, known, assumed):
    """Heart failure coded for a stay of three days, with and without saying when."""
    coding = msgspec.structs.replace(DEFAULT.coding, known=known, days=4.0)
    profile = msgspec.structs.replace(DEFAULT, coding=coding)
    lines = ndjson(
        patient(), encounter("a", 0, 3), encounter("later", 200, 201), lab("l", 1),
        condition("c", "I50.9", stay="a", **recorded),
    )  # fmt: skip
    ingested(tmp_path / "store", ("a.ndjson", lines), profile=profile)
    with open_store(tmp_path / "store") as opened:
        data = study_data(opened, profile, CohortRules(follow_up=False))
        stay = store_pseudonyms(opened.home).of("Encounter", "a")
        first = data.subset(data.stays["encounter_id"].to_numpy() == stay)
        found = by_name(check_records(opened, profile, first))
    assert found["heart_failure"].stays == 1
    assert found["heart_failure"].assumed == assumed
    assert found["heart_failure"].later == 0.0
    assert found["age"].assumed == 0.0
