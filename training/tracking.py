"""The record of every training run in MLflow, and the registry of models.

The only training file that imports mlflow, and only inside functions: the import takes three
seconds. Runs and registry live in ``mlflow.db`` (SQLite), artifacts beside it, all below one
folder. MLflow is the record of which version is the champion. Promotion also leaves
``champion.json``, from which the service loads that model without mlflow (``risk_model.champion``).
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_mappings.errors import RiskModelError
from training.risk_model import (
    MANIFEST,
    Champion,
    load_risk_model,
    read_champion,
    write_champion,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "readmit"
REGISTERED_NAME = "readmit"
MODEL_FOLDER = "model"
"""The risk model's folder among a run's artifacts."""
_LONGEST_PARAMETER = 6_000
_LENGTH_OF_RUN_ID = 32


@dataclass(frozen=True)
class Registered:
    """A run and the version that came of it."""

    run_id: str
    version: str
    alias: str
    """``champion`` when there was none yet, else ``challenger``."""
    folder: Path
    """The risk model's folder among the artifacts."""


def record_run(
    mlruns: Path,
    artifacts: Path,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> Registered:
    """Log a finished training run and register its model.

    Args:
        mlruns: the folder of MLflow; created where absent.
        artifacts: a folder that is copied as it is; the risk model lies in ``model`` below it.
        parameters: of the run.
        metrics: of the run.
        tags: of the run and of the version.

    Raises:
        RiskModelError: if the copied model is not what its manifest says.

    """
    client = _client(mlruns)
    from mlflow.entities import Metric, Param, RunTag

    # The experiment's own location, not the client's default, which is below the working folder.
    experiment = client.get_experiment_by_name(EXPERIMENT)
    experiment_id = (
        experiment.experiment_id
        if experiment
        else client.create_experiment(
            EXPERIMENT, artifact_location=(mlruns.resolve() / "artifacts").as_uri()
        )
    )
    run = client.create_run(experiment_id)
    run_id = run.info.run_id
    try:
        client.log_batch(
            run_id,
            metrics=[
                Metric(name, value, run.info.start_time, 0) for name, value in metrics.items()
            ],
            params=[
                Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in parameters.items()
            ],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        client.log_artifacts(run_id, str(artifacts))
        folder = _artifact_folder(mlruns, run_id)
        load_risk_model(folder)
        version = _register(client, run_id, run.info.artifact_uri, tags)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    alias = "challenger" if _has_champion(client) else "champion"
    if alias == "champion":
        promote(mlruns, version)
    else:
        client.set_registered_model_alias(REGISTERED_NAME, alias, version)
    return Registered(run_id, version, alias, folder)


def promote(mlruns: Path, version: str) -> Champion:
    """Make a registered version the champion, in MLflow and for the service.

    Args:
        mlruns: the folder of MLflow.
        version: of the registered model.

    Raises:
        RiskModelError: if there is no such version, or its folder is not what its manifest says.

    """
    client = _client(mlruns)
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_model_version(REGISTERED_NAME, version)
    except MlflowException:
        raise RiskModelError(f"the registry has no version {version}") from None
    run_id = str(registered.run_id)
    folder = _artifact_folder(mlruns, run_id)
    model = load_risk_model(folder, version=str(registered.version), run_id=run_id)
    note = Champion(
        name=REGISTERED_NAME,
        version=str(registered.version),
        run_id=run_id,
        folder=folder.relative_to(mlruns).as_posix(),
        manifest_sha256=model.fingerprint,
    )
    client.set_registered_model_alias(REGISTERED_NAME, "champion", version)
    write_champion(mlruns, note)
    return note


def run_folder(mlruns: Path, run_or_version: str | None = None) -> Path:
    """The folder of a run's artifacts.

    Args:
        mlruns: the folder of MLflow.
        run_or_version: a run id or a registered version; None for the model in use.

    Raises:
        RiskModelError: if there is no such run, version or model in use.

    """
    if run_or_version is None:
        note = read_champion(mlruns)
        if note is None:
            raise RiskModelError("no model is in use yet; train one first")
        run_id = note.run_id
    elif run_or_version.isdecimal() and len(run_or_version) < _LENGTH_OF_RUN_ID:
        run_id = _run_of_version(mlruns, run_or_version)
    else:
        run_id = run_or_version
    root = (mlruns / "artifacts").resolve()
    folder = _artifact_folder(mlruns, run_id).parent
    if not folder.resolve().is_relative_to(root) or not folder.is_dir():
        raise RiskModelError(f"there is no run {run_id}")
    return folder


def _run_of_version(mlruns: Path, version: str) -> str:
    client = _client(mlruns)
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version(REGISTERED_NAME, version).run_id)
    except MlflowException:
        raise RiskModelError(f"the registry has no version {version}") from None


def _client(mlruns: Path) -> "MlflowClient":
    # Before the import: mlflow reads these when it starts. Without them it would load pickles and
    # report its use over the network.
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        # A new database announces some forty migrations.
        logging.getLogger(name).setLevel(logging.WARNING)
    mlruns.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{mlruns.resolve() / 'mlflow.db'}"
    return MlflowClient(tracking_uri=database, registry_uri=database)


def _artifact_folder(mlruns: Path, run_id: str) -> Path:
    return mlruns / "artifacts" / run_id / "artifacts" / MODEL_FOLDER


def _register(
    client: "MlflowClient", run_id: str, artifact_uri: str, tags: Mapping[str, str]
) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(REGISTERED_NAME)
    except MlflowException:
        client.create_registered_model(
            REGISTERED_NAME, description="Risk of unplanned readmission after a hospital stay."
        )
    version = client.create_model_version(
        REGISTERED_NAME,
        source=f"{artifact_uri}/{MODEL_FOLDER}",
        run_id=run_id,
        tags=dict(tags),
        description=f"A folder with {MANIFEST}; load it with training.risk_model.",
    )
    return str(version.version)


def _has_champion(client: "MlflowClient") -> bool:
    return "champion" in client.get_registered_model(REGISTERED_NAME).aliases
