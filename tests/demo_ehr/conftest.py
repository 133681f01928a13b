"""A small simulated hospital, and the demo EHR over it beside the service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_parts import demo_running

from training.simulated_hospital import simulate


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital") / "records"
    simulate(folder, 600, 7)
    return folder


@pytest.fixture(scope="module")
def demo(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with demo_running(tmp_path_factory.mktemp("demo"), records) as parts:
        yield parts


@pytest.fixture(scope="module")
def lone_ehr(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An EHR whose service does not answer."""
    folder = tmp_path_factory.mktemp("lone")
    with demo_running(folder, records, with_service=False) as parts:
        yield parts
