"""The registry of models: its versions, their folders, and the alias of the one in use."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_mappings.errors import RiskModelError
from training.risk_model import Champion, fingerprint, read_champion, write_champion
from training.tracking.client import (
    EXPERIMENT,
    MODEL_FOLDER,
    REGISTERED_NAME,
    artifacts_of,
    connect,
)
from training.tracking.runs import MANIFEST_TAG, PROCESS_TAG, SETTLED_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

_INTERRUPTED_TAG = "interrupted"


@dataclass(frozen=True)
class Version:
    """A registered version of the model."""

    version: str
    run_id: str
    registered_at: datetime.datetime
    """UTC."""
    aliases: tuple[str, ...]
    manifest_sha256: str | None
    """As it was registered; None where it was registered without."""
    folder: Path
    """The folder of its risk model."""


def versions(mlruns: Path) -> list[Version]:
    """Every registered version, the oldest first; none where nothing was ever trained."""
    if not (mlruns / "mlflow.db").exists():
        return []
    client = connect(mlruns)
    aliases = _aliases(client)
    found = [
        Version(
            version=str(one.version),
            run_id=str(one.run_id),
            registered_at=datetime.datetime.fromtimestamp(
                one.creation_timestamp / 1_000, datetime.UTC
            ),
            aliases=tuple(
                sorted(name for name, version in aliases.items() if version == str(one.version))
            ),
            manifest_sha256=one.tags.get(MANIFEST_TAG),
            folder=artifacts_of(mlruns, str(one.run_id)) / MODEL_FOLDER,
        )
        for one in client.search_model_versions(f"name = '{REGISTERED_NAME}'")
    ]
    return sorted(found, key=lambda one: int(one.version))


def version_of(mlruns: Path, version: str) -> Version:
    """One registered version.

    Raises:
        RiskModelError: if there is none of that number.
    """
    for one in versions(mlruns):
        if one.version == version:
            return one
    raise RiskModelError(f"the registry has no version {version}")


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
    elif run_or_version.isdecimal() and len(run_or_version) < 32:
        run_id = version_of(mlruns, run_or_version).run_id
    else:
        run_id = run_or_version
    root = (mlruns / "artifacts").resolve()
    folder = artifacts_of(mlruns, run_id)
    if not folder.resolve().is_relative_to(root) or not folder.is_dir():
        raise RiskModelError(f"there is no run {run_id}")
    return folder


def make_champion(mlruns: Path, version: str, manifest_sha256: str) -> Champion:
    """Let the alias and the service's note name a version, for the holder of ``client.locked``.

    Nothing is changed where they name it already. The note comes last: the service reads nothing
    else.

    Raises:
        RiskModelError: if there is no such version, or its folder is not what was decided on.
    """
    one = version_of(mlruns, version)
    note = Champion(
        name=REGISTERED_NAME,
        version=version,
        run_id=one.run_id,
        folder=one.folder.relative_to(mlruns).as_posix(),
        manifest_sha256=manifest_sha256,
    )
    if "champion" in one.aliases and "challenger" not in one.aliases and _noted(mlruns) == note:
        return note
    if fingerprint(one.folder) != manifest_sha256:
        raise RiskModelError(f"version {version} is not the model that was decided on")
    client = connect(mlruns)
    client.set_registered_model_alias(REGISTERED_NAME, "champion", version)
    if "challenger" in one.aliases:
        client.delete_registered_model_alias(REGISTERED_NAME, "challenger")
    write_champion(mlruns, note)
    return note


def _noted(mlruns: Path) -> Champion | None:
    try:
        return read_champion(mlruns)
    except RiskModelError:
        # Somebody's edit. It names nothing, and is written anew.
        return None


def settle(mlruns: Path, version: str, *, challenger: bool) -> None:
    """Note that it is decided what becomes of a version, so that no later run takes it up."""
    client = connect(mlruns)
    if challenger:
        client.set_registered_model_alias(REGISTERED_NAME, "challenger", version)
    client.set_model_version_tag(REGISTERED_NAME, version, SETTLED_TAG, "true")


def sweep(mlruns: Path, *, kept: Collection[str]) -> None:
    """Put away what killed processes left, for the holder of ``client.locked``.

    A run of ours that still runs is FAILED: its process is gone, or it would hold the lock. A
    version that was never settled is removed unless its run is FINISHED and its folder is whole.

    Args:
        mlruns: the folder of MLflow.
        kept: versions that the record of promotions names. They stay in any case: what was once in
            use is never forgotten because its folder is damaged.
    """
    if not (mlruns / "mlflow.db").exists():
        return
    client = connect(mlruns)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        for run in client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'"):
            if PROCESS_TAG in run.data.tags:
                client.set_tag(run.info.run_id, _INTERRUPTED_TAG, "true")
                client.set_terminated(run.info.run_id, "FAILED")
    for one in client.search_model_versions(f"name = '{REGISTERED_NAME}'"):
        if SETTLED_TAG in one.tags or str(one.version) in kept:
            continue
        if not _is_whole(client, mlruns, str(one.run_id)):
            client.delete_model_version(REGISTERED_NAME, str(one.version))


def _is_whole(client: "MlflowClient", mlruns: Path, run_id: str) -> bool:
    if client.get_run(run_id).info.status != "FINISHED":
        return False
    try:
        fingerprint(artifacts_of(mlruns, run_id) / MODEL_FOLDER)
    except RiskModelError:
        return False
    return True


def _aliases(client: "MlflowClient") -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(REGISTERED_NAME)
    except MlflowException:
        return {}
    return {name: str(version) for name, version in model.aliases.items()}
