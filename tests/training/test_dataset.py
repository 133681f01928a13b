"""From the store to the matrix: the engine's own rows, the same every time, and told apart."""

from datetime import UTC, date

import msgspec
import numpy as np
import pandas as pd
import pytest
from records import encounter, ingested, lab, ndjson, patient

from fhir_mappings.errors import DeclarationError, SiteProfileError, StudyError
from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.engine import View
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.pseudonyms import store_pseudonyms
from fhir_mappings.store import Store, open_store
from training.cohort.selection import CohortRules
from training.dataset import end_of_data, rows_for, select_cohort, study_data, timelines
from training.simulated_hospital import simulate
from training.study_data import StudyData
from training.study_records import number_of
from training.vocabulary import VocabularyRules

PROFILE = load_profile("default")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder / "records", 60, 4)
    ingest([folder / "records"], folder / "store", PROFILE, shards=3)
    with open_store(folder / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def data(store: Store) -> StudyData:
    return study_data(store, PROFILE, CohortRules(), vocabulary=VocabularyRules())


def small(folder, value: float = 140.0, name: str = "s") -> StudyData:
    """Two stays of one fictitious patient, with one sodium of this value."""
    lines = ndjson(
        patient(), encounter("a", 0, 3), encounter("b", 90, 95), encounter("c", 200, 201),
        lab("l", 1, value),
    )  # fmt: skip
    ingested(folder / name, ("a.ndjson", lines))
    with open_store(folder / name) as opened:
        return study_data(opened, PROFILE, CohortRules())


def test_the_same_store_gives_the_same_study(store, data):
    again = study_data(store, PROFILE, CohortRules(), vocabulary=VocabularyRules())
    assert again.fingerprint == data.fingerprint
    assert again.features == data.features
    assert again.values.tobytes() == data.values.tobytes()
    assert again.stays.equals(data.stays)
    assert (again.outcome == data.outcome).all()


def test_rows_are_those_of_the_engine_at_the_discharge(store, data):
    rows = dict(zip(data.stays["encounter_id"], data.values, strict=True))
    names = store_pseudonyms(store.home)
    compared = 0
    for shard in range(store.shards):
        for timeline in timelines(store, shard, PROFILE):
            for stay in timeline.stays:
                pseudonym = names.of("Encounter", stay.name)
                if pseudonym not in rows:
                    continue
                view = View(timeline, stay, stay.end)
                expected = np.asarray(view.row(data.features), dtype=np.float32)
                np.testing.assert_array_equal(rows[pseudonym], expected)
                compared += 1
    assert compared == len(data) > 50


def test_declared_features_come_first_and_alone_without_a_vocabulary(store, data):
    declared = declared_features()
    alone = study_data(store, PROFILE, CohortRules())
    assert alone.features == declared == data.features[: len(declared)]
    np.testing.assert_array_equal(alone.values, data.values[:, : len(declared)])
    assert len(data.features) > len(declared)
    assert alone.fingerprint != data.fingerprint


def test_outcomes_are_those_of_the_cohort(store, data):
    cohort = select_cohort(store, PROFILE, CohortRules())
    names = store_pseudonyms(store.home)
    expected = {
        names.of("Encounter", stay.encounter): stay.readmitted for stay in cohort.cohort.index_stays
    }
    assert dict(zip(data.stays["encounter_id"], data.outcome, strict=True)) == expected
    assert cohort.readmissions == data.outcome.sum() > 0
    assert data.flow[-1]["left"] == len(data)


def test_stays_are_dated_and_have_both_published_scores(data):
    assert (data.stays["discharged"] >= data.stays["admitted"]).all()
    assert data.stays["discharged"].dt.tz is UTC or str(data.stays["discharged"].dt.tz) == "UTC"
    assert data.stays["lace"].between(0, 19).all()
    assert data.stays["hospital"].between(0, 13).all()
    assert (data.profile, data.horizon_days, data.calendar) == ("default", 30, True)


def test_rows_of_a_models_own_features_are_those_of_its_study(store, data):
    some = data.features[::7]
    rows = rows_for(store, PROFILE, CohortRules(), some)
    assert rows.features == some
    np.testing.assert_array_equal(rows.values, data.values[:, ::7])
    assert (rows.outcome == data.outcome).all()


def test_rows_of_a_period_are_those_discharged_in_it(store, data):
    rules = CohortRules(discharged_from=date(2023, 3, 1), discharged_before=date(2023, 9, 1))
    rows = rows_for(store, PROFILE, rules, data.features)
    local = data.stays["discharged"].dt.tz_convert("America/New_York").dt.date
    within = ((local >= date(2023, 3, 1)) & (local < date(2023, 9, 1))).to_numpy()
    assert 3 < within.sum() < len(data) / 2
    np.testing.assert_array_equal(rows.values, data.values[within])
    assert rows.stays["encounter_id"].tolist() == data.stays["encounter_id"][within].tolist()


def test_recent_stays_have_rows_before_their_outcome_is_known(store, data):
    recent = rows_for(store, PROFILE, CohortRules(follow_up=False), data.features)
    assert len(recent) > len(data)
    assert set(data.stays["encounter_id"]) < set(recent.stays["encounter_id"])


def test_rows_of_a_feature_that_cannot_be_computed_are_refused(store, data):
    unknown = msgspec.structs.replace(data.features[0], of="lab.unheard_of", measure="latest")
    with pytest.raises(DeclarationError):
        rows_for(store, PROFILE, CohortRules(), [unknown])


@pytest.mark.parametrize("days", [7, 30, 90])
def test_a_longer_horizon_asks_for_a_longer_follow_up_and_finds_more_returns(store, days):
    rules = CohortRules(horizon_days=days)
    found = study_data(store, PROFILE, rules)
    assert found.horizon_days == days
    end = end_of_data(store)
    followed = found.stays["discharged"].max() + pd.Timedelta(days=days)
    assert followed <= pd.Timestamp(end, unit="us", tz="UTC")
    of_readmitted = found.stays["days_to_readmission"][found.outcome]
    assert (of_readmitted <= days).all()
    assert (of_readmitted > 0).all()
    shorter = study_data(store, PROFILE, CohortRules(horizon_days=days // 3))
    earlier = dict(zip(shorter.stays["encounter_id"], shorter.outcome, strict=True))
    for name, outcome in zip(found.stays["encounter_id"], found.outcome, strict=True):
        assert outcome >= earlier[name]
    assert found.outcome.sum() > 0


def test_the_fingerprint_changes_with_one_value(tmp_path):
    first = small(tmp_path, 140.0, "first")
    assert small(tmp_path, 140.0, "again").fingerprint == first.fingerprint
    assert small(tmp_path, 139.0, "other").fingerprint != first.fingerprint


def test_a_value_beyond_single_precision_is_missing_and_stops_nothing(tmp_path):
    odd = {"coding": [{"system": "urn:ward", "code": "X"}]}
    people = [f"p{number}" for number in range(8)]
    resources = [
        resource
        for who in people
        for resource in (
            patient(who),
            encounter(f"a{who}", 0, 3, who=who),
            encounter(f"b{who}", 90, 91, kind="AMB", who=who),
            lab(f"l{who}", 1, 1e39 if who == "p3" else 5.0, code=odd, who=who),
        )
    ]
    ingested(tmp_path / "store", ("a.ndjson", ndjson(*resources)))
    with open_store(tmp_path / "store") as opened:
        data = study_data(opened, PROFILE, CohortRules(), vocabulary=VocabularyRules())
    column = [feature.of for feature in data.features].index("code:urn:ward|X")
    values = dict(zip(data.subjects, data.values[:, column], strict=True))
    assert np.isnan(values.pop(number_of("p3")))
    assert set(values.values()) == {5.0}


def test_progress_is_told_of_every_shard(store):
    told = []
    study_data(store, PROFILE, CohortRules(), progress=lambda *each: told.append(each))
    assert told == [
        (what, done, store.shards)
        for what in ("cohort", "features")
        for done in range(1, store.shards + 1)
    ]


def test_one_slip_into_the_future_does_not_open_everybodys_follow_up(tmp_path):
    visits = [encounter(f"v{n}", n / 20, n / 20 + 0.01, kind="AMB") for n in range(1_500)]
    lines = ndjson(patient(), *visits, encounter("slip", 20_000, 20_001, kind="AMB"))
    ingested(tmp_path / "store", ("a.ndjson", lines))
    with open_store(tmp_path / "store") as opened:
        last = max(
            visit.start
            for shard in range(opened.shards)
            for timeline in timelines(opened, shard, PROFILE)
            for visit in timeline.visits
            if visit.encounter != "slip"
        )
        assert end_of_data(opened) <= last


def test_a_profile_that_finds_no_stay_is_not_the_sites(tmp_path):
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient(), encounter("a", 0, 1, kind="AMB"))))
    with open_store(tmp_path / "store") as opened, pytest.raises(SiteProfileError, match="AMB 1"):
        select_cohort(opened, PROFILE, CohortRules())


def test_a_study_without_index_stays_is_refused(tmp_path):
    child = patient(birthDate="2020-01-01")
    ingested(tmp_path / "store", ("a.ndjson", ndjson(child, encounter("a", 0, 3))))
    with open_store(tmp_path / "store") as opened, pytest.raises(StudyError, match="no index stay"):
        study_data(opened, PROFILE, CohortRules())
