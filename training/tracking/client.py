"""MLflow's home: one folder, one database, one writer at a time."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "readmit"
REGISTERED_NAME = "readmit"
MODEL_FOLDER = "model"
"""The risk model's folder among a run's artifacts."""
LOCK = "lock"


def connect(mlruns: Path) -> "MlflowClient":
    """A client of the database in ``mlruns``, which is created where absent."""
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


@contextmanager
def locked(mlruns: Path) -> Iterator[None]:
    """Be the only one who records runs or promotes, or who searches; waits for whoever is at it.

    Searches lie in a folder of their own, with a lock of their own.

    The kernel frees the lock with the process that holds it. Whoever holds it may therefore take
    what lies there unfinished for the remains of a process that is gone.
    """
    mlruns.mkdir(parents=True, exist_ok=True)
    lock = os.open(mlruns / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def experiment_of(client: "MlflowClient", mlruns: Path) -> str:
    """The id of our experiment, created where absent."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment:
        return str(experiment.experiment_id)
    # The experiment's own location, not the client's default, which is below the working folder.
    location = (mlruns.resolve() / "artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def artifacts_of(mlruns: Path, run_id: str) -> Path:
    """The folder of a run's artifacts."""
    return mlruns / "artifacts" / run_id / "artifacts"
