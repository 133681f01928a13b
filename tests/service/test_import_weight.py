"""What starting the service and scoring pull in. A service restarts in seconds, or pages wait."""

import subprocess
import sys

import pytest

HEAVY = ("mlflow", "shap", "pandas", "matplotlib", "sklearn", "training.cohort", "fhir.resources")


@pytest.mark.parametrize("module", ["service.app", "service.scoring", "service.serve"])
def test_importing_the_service_pulls_in_nothing_that_only_training_needs(module: str) -> None:
    program = (
        f"import sys, {module}; "
        f"print(','.join(name for name in {HEAVY!r} if name in sys.modules), end='')"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout == ""
