"""One small simulated export, read once."""

import pytest
from simulated_export import Hospital

from training.simulated_hospital import simulate

PATIENTS = 250


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    folder = tmp_path_factory.mktemp("simulated-hospital")
    return Hospital(folder, simulate(folder, PATIENTS, seed=11))
