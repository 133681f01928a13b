"""Recording a run: everything is logged and checked before a version of the model exists.

The order is what makes a kill harmless. Artifacts, measures and trials are logged, the copied model
is checked, the run is FINISHED, and only then is it registered; a run that was killed before is
FAILED when the next one comes (``registry.sweep``), one that was killed after it is taken up where
it was left by a run that brings the very same model.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import findings
from training.risk_model import MANIFEST, fingerprint
from training.tracking.client import (
    EXPERIMENT,
    MODEL_FOLDER,
    REGISTERED_NAME,
    artifacts_of,
    connect,
    experiment_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MANIFEST_TAG = "manifest_sha256"
"""Of runs and versions: the SHA-256 of the model's manifest, and so of all that it is."""
SETTLED_TAG = "settled"
"""Of versions: whether it was decided what becomes of it. A version without it was being recorded
by a process that was killed."""
PARENT_TAG = "mlflow.parentRunId"
PROCESS_TAG = "process"
"""Of the runs that we record: by which process of which machine."""
_TRIAL_TAG = "trial"
_LONGEST_PARAMETER = 6_000


@dataclass(frozen=True)
class Recorded:
    """A run and the version that came of it."""

    run_id: str
    version: str
    folder: Path
    """The risk model's folder among the artifacts."""


def record_run(
    mlruns: Path,
    artifacts: Path,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    trials: Sequence[findings.Trial] = (),
) -> Recorded:
    """Log a finished training run and register its model, for the holder of ``client.locked``.

    Where a process was killed after it had logged the very same model with the same tags, its run
    is taken up instead of a second one being made.

    Args:
        mlruns: the folder of MLflow; created where absent.
        artifacts: a folder that is copied as it is; the risk model lies in ``model`` below it.
        parameters: of the run.
        metrics: of the run.
        tags: of the run and of the version.
        trials: of the search for settings, logged as nested runs.

    Raises:
        RiskModelError: if the copied model is not what its manifest says.

    """
    client = connect(mlruns)
    manifest = hashlib.sha256((artifacts / MODEL_FOLDER / MANIFEST).read_bytes()).hexdigest()
    tags = {**tags, MANIFEST_TAG: manifest}
    run = _left_behind(client, tags)
    if run is None:
        run = _new_run(client, mlruns)
        try:
            _log(client, run, artifacts, parameters, metrics, tags)
            record_search(mlruns, run_id=run.info.run_id, trials=trials)
            fingerprint(artifacts_of(mlruns, run.info.run_id) / MODEL_FOLDER)
        except BaseException:
            client.set_terminated(run.info.run_id, "FAILED")
            raise
        client.set_terminated(run.info.run_id)
    run_id = str(run.info.run_id)
    version = _version(client, run_id) or _register(client, run, tags)
    return Recorded(run_id, version, artifacts_of(mlruns, run_id) / MODEL_FOLDER)


def record_search(mlruns: Path, *, run_id: str, trials: Sequence[findings.Trial]) -> None:
    """Log the trials of a search as runs nested in the run ``run_id``; those there are left alone.

    A trial's settings are its parameters and its out-of-fold loss is the metric ``loss``; a trial
    that was pruned is KILLED, as MLflow calls what was stopped on purpose.
    """
    if not trials:
        return
    client = connect(mlruns)
    from mlflow.entities import Metric, Param, RunTag

    experiment = experiment_of(client, mlruns)
    logged = client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{run_id}'")
    known = {
        run.data.tags[_TRIAL_TAG] for run in logged if run.info.status in ("FINISHED", "KILLED")
    }
    for trial in trials:
        if str(trial.number) in known:
            continue
        run = _new_run(client, mlruns, name=f"trial {trial.number}")
        client.log_batch(
            run.info.run_id,
            metrics=[]
            if trial.loss is None
            else [Metric("loss", trial.loss, run.info.start_time, 0)],
            params=[Param(name, str(value)) for name, value in trial.settings.items()],
            tags=[RunTag(PARENT_TAG, run_id), RunTag(_TRIAL_TAG, str(trial.number))],
        )
        status = "KILLED" if trial.state == "pruned" else "FINISHED"
        client.set_terminated(run.info.run_id, status)


def _new_run(client: "MlflowClient", mlruns: Path, name: str | None = None) -> "Run":
    process = f"{os.uname().nodename}:{os.getpid()}"
    return client.create_run(
        experiment_of(client, mlruns), tags={PROCESS_TAG: process}, run_name=name
    )


def _log(
    client: "MlflowClient",
    run: Any,
    artifacts: Path,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, run.info.start_time, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in parameters.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.log_artifacts(run.info.run_id, str(artifacts))


def _left_behind(client: "MlflowClient", tags: Mapping[str, str]) -> "Run | None":
    """A whole run of the same model and tags that nobody came to settle."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    same = client.search_runs(
        [experiment.experiment_id],
        f"tags.{MANIFEST_TAG} = '{tags[MANIFEST_TAG]}' and attributes.status = 'FINISHED'",
    )
    settled = {
        version.run_id
        for version in client.search_model_versions(f"name = '{REGISTERED_NAME}'")
        if SETTLED_TAG in version.tags
    }
    for run in same:
        alike = tags.items() <= run.data.tags.items()
        if alike and run.info.run_id not in settled and PARENT_TAG not in run.data.tags:
            return run
    return None


def _version(client: "MlflowClient", run_id: str) -> str | None:
    found = client.search_model_versions(f"name = '{REGISTERED_NAME}' and run_id = '{run_id}'")
    return str(found[0].version) if found else None


def _register(client: "MlflowClient", run: Any, tags: Mapping[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(REGISTERED_NAME)
    except MlflowException:
        client.create_registered_model(
            REGISTERED_NAME, description="Risk of unplanned readmission after a hospital stay."
        )
    version = client.create_model_version(
        REGISTERED_NAME,
        source=f"{run.info.artifact_uri}/{MODEL_FOLDER}",
        run_id=run.info.run_id,
        tags=dict(tags),
        description=f"A folder with {MANIFEST}; load it with training.risk_model.",
    )
    return str(version.version)
