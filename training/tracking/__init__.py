"""The record of every training run in MLflow, and the registry of models.

The only place that imports mlflow, and only inside functions: the import takes three seconds. Runs
and registry live in ``mlflow.db`` (SQLite), artifacts beside it, all below one folder.

Which model is in use is decided elsewhere, by the signed record of promotions
(``training.promotion``). The registry's alias ``champion`` follows it, for whoever looks with
MLflow, and so does ``champion.json``, from which the service loads the model without mlflow
(``risk_model.champion``).
"""

from training.tracking.client import EXPERIMENT, MODEL_FOLDER, REGISTERED_NAME, locked
from training.tracking.registry import (
    Version,
    make_champion,
    run_folder,
    settle,
    sweep,
    version_of,
    versions,
)
from training.tracking.runs import Recorded, record_run, record_search

__all__ = [
    "EXPERIMENT",
    "MODEL_FOLDER",
    "REGISTERED_NAME",
    "Recorded",
    "Version",
    "locked",
    "make_champion",
    "record_run",
    "record_search",
    "run_folder",
    "settle",
    "sweep",
    "version_of",
    "versions",
]
