"""From a store to a registered model: the study's choices, the model in use beside, a refit."""

from datetime import date
from pathlib import Path

import msgspec
import pytest

from fhir_mappings.errors import StudyError
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.experiment import matrix, refit, run_study
from training.promotion import promote
from training.report import read_run
from training.simulated_hospital import simulate
from training.study import EvaluationRules, FeatureChoice, SplitRules, Study

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

QUICK = EvaluationRules(resamples=50, stability_refits=0, learning_shares=(), attributes=("sex",))
STUDY = Study(
    evaluation=QUICK,
    split=SplitRules(by="patient"),
    features=FeatureChoice(use_vocabulary=False),
)
PROFILE = load_profile("simulated")


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A small simulated hospital, and a first model of it with a search of two settings."""
    folder = tmp_path_factory.mktemp("ward")
    simulate(folder / "records", 250, 4)
    ingest([folder / "records"], folder / "store", PROFILE, shards=2)
    with open_store(folder / "store") as store:
        first = run_study(store, PROFILE, folder / "mlruns", STUDY, tune=2)
        fewer = msgspec.structs.replace(
            STUDY, features=FeatureChoice(use_vocabulary=False, leave_out=("age",))
        )
        second = run_study(store, PROFILE, folder / "mlruns", fewer)
    return folder, first, second


def test_the_second_model_is_measured_beside_the_one_in_use(ward):
    _, first, second = ward
    assert (first.alias, second.alias) == ("champion", "challenger")
    assert "champion" not in first.baselines
    ours = first.test["auroc"].value
    assert second.baselines["champion"]["auroc"].value == pytest.approx(ours, abs=1e-6)


def test_the_report_says_whether_the_model_in_use_may_know_the_patients_of_the_test(ward):
    """Another seed deals other patients to the test: the model in use has learned from some."""
    folder, _, second = ward
    artifacts = Path(second.folder).parent
    assert read_run(artifacts).facts.champion_unseen
    assert "neither has seen" in (artifacts / "report.html").read_text(encoding="utf-8")
    other = msgspec.structs.replace(STUDY, seed=STUDY.seed + 1)
    with open_store(folder / "store") as store:
        third = run_study(store, PROFILE, folder / "mlruns", other)
    artifacts = Path(third.folder).parent
    assert read_run(artifacts).facts.champion_unseen is False
    assert "That flatters it" in (artifacts / "report.html").read_text(encoding="utf-8")


def test_a_ward_is_told_of_the_alerts_that_all_its_stays_make(ward):
    """And not of those of the fifth of its patients that were dealt to the test."""
    run = read_run(Path(ward[1].folder).parent)
    days = date.fromisoformat(run.facts.last_discharge) - date.fromisoformat(
        run.facts.first_discharge
    )
    stays_a_week = (run.facts.train_stays + run.evaluation.stays) / (days.days / 7)
    for capacity in run.evaluation.capacities:
        expected = stays_a_week * capacity.stays / run.evaluation.stays
        assert capacity.alerts_per_week == pytest.approx(expected, rel=0.01)


def test_what_changed_is_in_the_report(ward):
    _, first, second = ward
    run = read_run(Path(second.folder).parent)
    assert run.changes.features_removed == ("age",)
    assert run.changes.champion == first.version
    assert "age" not in {feature.name for feature in run.features}


def test_a_search_is_kept_with_the_run_and_a_refit_gives_the_same_trees(ward):
    folder, first, _ = ward
    artifacts = Path(first.folder).parent
    assert len(read_run(artifacts).search.trials) == 2
    with open_store(folder / "store") as store:
        trees = refit(store, PROFILE, artifacts)
    assert trees == (artifacts / "model" / "model.ubj").read_bytes()


def test_a_gate_refuses_a_model_that_is_not_what_a_refit_gives(ward, tmp_path):
    folder, _, second = ward
    decision = promote(folder / "mlruns", second.version, refit=lambda: b"other trees")
    failed = [result for result in decision.entry.gates if result.gate == "reproducibility"]
    assert not decision.promoted
    assert any("refit" in failure for failure in failed[0].failures)


def test_a_store_with_other_records_is_no_base_for_a_refit(ward, tmp_path):
    _, first, _ = ward
    simulate(tmp_path / "records", 120, 5)
    ingest([tmp_path / "records"], tmp_path / "store", PROFILE, shards=2)
    with (
        open_store(tmp_path / "store") as store,
        pytest.raises(StudyError, match="cannot be reproduced"),
    ):
        refit(store, PROFILE, Path(first.folder).parent)


def test_data_without_a_feature_are_other_data(ward):
    """Or a search would go on with trials of a model that had the feature."""
    folder, first, second = ward
    runs = [read_run(Path(run.folder).parent) for run in (first, second)]
    assert len({run.facts.data_fingerprint for run in runs}) == 2
    fewer = FeatureChoice(use_vocabulary=False, leave_out=("age", "female"))
    other = msgspec.structs.replace(fewer, leave_out=("female", "age"))
    with open_store(folder / "store") as store:
        prints = {
            matrix(store, PROFILE, msgspec.structs.replace(STUDY, features=choice)).fingerprint
            for choice in (fewer, other)
        }
    assert len(prints) == 1


def test_a_feature_that_there_is_not_cannot_be_left_out(ward):
    folder, _, _ = ward
    study = msgspec.structs.replace(STUDY, features=FeatureChoice(leave_out=("star_sign",)))
    with open_store(folder / "store") as store, pytest.raises(StudyError, match="star_sign"):
        matrix(store, PROFILE, study)
