"""The real, de-identified MIMIC-IV demo on FHIR: the counts that its README expects."""

from itertools import pairwise

import pytest
from records import RECORDS, needs_records

from fhir_mappings.attributes import attributes
from fhir_mappings.features.engine import View
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import select_cohort, timelines

pytestmark = [pytest.mark.records, needs_records]
MIMIC = load_profile("mimic")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo in a store, with what its ingest said."""
    store = tmp_path_factory.mktemp("mimic") / "store"
    summary = ingest([RECORDS / "mimic-iv-demo-fhir"], store, MIMIC)
    return store, summary


@pytest.fixture(scope="session")
def selected(demo):
    with open_store(demo[0]) as store:
        return select_cohort(store, MIMIC, CohortRules())


@pytest.fixture(scope="session")
def counts(selected):
    return selected.cohort.counts


def test_every_resource_is_read_and_none_rejected(demo):
    _, summary = demo
    assert (summary.patients, summary.rejected) == (100, 0)
    assert summary.by_type["Patient"].mapped == 100
    assert summary.by_type["Encounter"].mapped == 275 + 222 + 140
    assert summary.by_type["Condition"].without_events == 0
    # A dataAbsentReason alone; cultures and organisms that only head their members; blood pressures
    # of which both parts are absent.
    assert summary.by_type["Observation"].without_events == 2044 + 371 + 63


def test_hospital_stays_returns_and_deaths(counts):
    assert (counts["encounters"], counts["stays"]) == (275, 272)
    assert (counts["returns_30d"], counts["deaths_in_hospital"]) == (50, 15)


def test_leaving_observation_out(counts):
    found = {
        name.removeprefix("without_observation."): n
        for name, n in counts.items()
        if name.startswith("without_observation.")
    }
    assert found == {
        "encounters": 193,
        "stays": 192,
        "returns_30d": 28,
        "deaths_in_hospital": 12,
    }


def test_flow_leads_from_every_stay_to_the_index_stays(selected):
    steps = [(step.excluded, step.left) for step in selected.flow]
    assert all(excluded >= 0 for excluded, _ in steps)
    assert all(before[1] - after[0] == after[1] for before, after in pairwise(steps))
    assert steps[1][1] == selected.cohort.counts["without_observation.stays"]
    assert steps[-1][1] == len(selected.cohort.index_stays)


def test_the_record_says_who_the_stays_are_about_and_not_who_paid(demo):
    with open_store(demo[0]) as store:
        said = [
            attributes(View(timeline, stay, stay.end))
            for shard in range(store.shards)
            for timeline in timelines(store, shard, MIMIC)
            for stay in timeline.stays
            if stay.end is not None
        ]
    assert len(said) == 192
    assert {each["site"] for each in said} == {"Beth Israel Deaconess Medical Center"}
    assert {each["payer"] for each in said} == {None}
    assert {each["sex"] for each in said} == {"female", "male"}
    assert {each["language"] for each in said} == {"English", None}
    assert {"White", "Black or African American"} <= {each["race"] for each in said}
    assert "home with care" in {each["discharge_to"] for each in said}
    assert not {each["age_band"] for each in said} & {None, "under 18"}
