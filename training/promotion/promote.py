"""Registering a model that was trained, and putting one into use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training import findings, tracking
from training.risk_model import Champion, fingerprint, read_champion


@dataclass(frozen=True)
class Registered:
    """A run, the version that came of it, and what became of it."""

    run_id: str
    version: str
    alias: str
    """``champion`` when there was none yet, else ``challenger``."""
    folder: Path
    """The risk model's folder among the artifacts."""


def register_run(
    mlruns: Path,
    artifacts: Path,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    trials: Sequence[findings.Trial] = (),
) -> Registered:
    """Log a finished training run, register its model, and put it into use if it is the first."""
    with tracking.locked(mlruns):
        recorded = tracking.record_run(
            mlruns, artifacts, parameters=parameters, metrics=metrics, tags=tags, trials=trials
        )
        first = read_champion(mlruns) is None
        if first:
            tracking.make_champion(mlruns, recorded.version, fingerprint(recorded.folder))
        tracking.settle(mlruns, recorded.version, challenger=not first)
        alias = "champion" if first else "challenger"
    return Registered(recorded.run_id, recorded.version, alias, recorded.folder)


def promote(mlruns: Path, version: str) -> Champion:
    """Make a registered version the champion."""
    with tracking.locked(mlruns):
        one = tracking.version_of(mlruns, version)
        return tracking.make_champion(mlruns, version, fingerprint(one.folder))
