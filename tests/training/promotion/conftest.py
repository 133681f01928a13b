"""Runs as training leaves them, each in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from promotion_runs import RunFiles, good_run

from training.study import Study

MakeRun = Callable[..., RunFiles]


@pytest.fixture
def make_run(tmp_path: Path, save: Callable[[Path], str]) -> MakeRun:
    def make(study: Study | None = None, name: str = "run") -> RunFiles:
        return good_run(tmp_path, save, study, name)

    return make


@pytest.fixture
def mlruns(tmp_path: Path, blank_mlflow: bytes) -> Path:
    """A home of MLflow in which nothing was recorded yet."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(blank_mlflow)
    return folder
