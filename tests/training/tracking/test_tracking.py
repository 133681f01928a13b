"""What MLflow is told of a run, and what becomes of runs that broke off."""

import pytest
from promotion_runs import good_run

from fhir_mappings.errors import RiskModelError
from training import tracking
from training.findings import Trial
from training.tracking.client import connect, experiment_of
from training.tracking.runs import PARENT_TAG, PROCESS_TAG, record_search

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

TRIALS = (
    Trial(0, "complete", 0.41, {"max_depth": 3.0, "eta": 0.1}),
    Trial(1, "pruned", None, {"max_depth": 5.0, "eta": 0.3}),
)


@pytest.fixture
def mlruns(tmp_path, blank_mlflow):
    folder = tmp_path / "mlruns"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(blank_mlflow)
    return folder


@pytest.fixture
def record(mlruns, tmp_path, save):
    """Records a run, again and again the same."""
    run = good_run(tmp_path, save)

    def recorded(**options):
        with tracking.locked(mlruns):
            return tracking.record_run(
                mlruns, run.folder, parameters={}, metrics={}, tags={}, **options
            )

    return recorded


def runs(mlruns, condition=""):
    client = connect(mlruns)
    return client.search_runs([experiment_of(client, mlruns)], condition)


def test_the_trials_of_a_search_are_nested_in_their_run(mlruns, record):
    run_id = record(trials=TRIALS).run_id
    nested = runs(mlruns, f"tags.`{PARENT_TAG}` = '{run_id}'")
    told = {
        run.info.run_name: (run.info.status, run.data.metrics, run.data.params) for run in nested
    }
    assert told == {
        "trial 0": ("FINISHED", {"loss": 0.41}, {"max_depth": "3.0", "eta": "0.1"}),
        "trial 1": ("KILLED", {}, {"max_depth": "5.0", "eta": "0.3"}),
    }
    record_search(mlruns, run_id=run_id, trials=TRIALS)
    assert len(runs(mlruns)) == 3


def test_a_version_that_nobody_settled_is_taken_up_by_the_same_model_and_no_other(mlruns, record):
    first = record()
    assert record() == first
    tracking.settle(mlruns, first.version, challenger=True)
    second = record()
    assert (first.version, second.version) == ("1", "2")
    assert first.run_id != second.run_id


def test_runs_of_ours_that_nobody_runs_any_more_have_failed_and_others_are_left(mlruns, record):
    record()
    client = connect(mlruns)
    experiment = experiment_of(client, mlruns)
    ours = client.create_run(experiment, tags={PROCESS_TAG: "simulated:1"}).info.run_id
    theirs = client.create_run(experiment).info.run_id
    with tracking.locked(mlruns):
        tracking.sweep(mlruns, kept=())
    assert client.get_run(ours).info.status == "FAILED"
    assert client.get_run(ours).data.tags["interrupted"] == "true"
    assert client.get_run(theirs).info.status == "RUNNING"


def test_half_a_version_is_removed_unless_it_is_settled_or_on_record(mlruns, record):
    kept = record()
    tracking.settle(mlruns, kept.version, challenger=False)
    settled = record()
    tracking.settle(mlruns, settled.version, challenger=True)
    half = record()
    for one in (kept, settled, half):
        (one.folder / "model.ubj").write_bytes(b"damaged")
    connect(mlruns).delete_model_version_tag("readmit", kept.version, "settled")
    tracking.sweep(mlruns, kept=("1",))
    assert [one.version for one in tracking.versions(mlruns)] == ["1", "2"]


def test_a_version_of_a_run_that_did_not_finish_is_removed(mlruns, record):
    one = record()
    connect(mlruns).set_terminated(one.run_id, "FAILED")
    tracking.sweep(mlruns, kept=())
    assert tracking.versions(mlruns) == []


def test_a_runs_folder_is_found_by_run_and_by_version(mlruns, record):
    one = record()
    assert tracking.run_folder(mlruns, one.run_id) == one.folder.parent
    assert tracking.run_folder(mlruns, "1") == one.folder.parent
    with pytest.raises(RiskModelError, match="no model is in use"):
        tracking.run_folder(mlruns)
    for unknown in ("7", "../../..", "a" * 32):
        with pytest.raises(RiskModelError):
            tracking.run_folder(mlruns, unknown)


def test_where_nothing_was_trained_there_is_nothing_and_nothing_is_made(tmp_path):
    assert tracking.versions(tmp_path / "nowhere") == []
    assert not (tmp_path / "nowhere").exists()
