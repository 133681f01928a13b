"""A simulated run, written once, and its page."""

import pytest
from simulated_run import Made

from training.report import RunArtifacts, read_run, render_report


@pytest.fixture(scope="session")
def run_artifacts(tmp_path_factory: pytest.TempPathFactory) -> RunArtifacts:
    return read_run(Made().write(tmp_path_factory.mktemp("run") / "artifacts"))


@pytest.fixture(scope="session")
def page(run_artifacts: RunArtifacts) -> str:
    return render_report(run_artifacts)
