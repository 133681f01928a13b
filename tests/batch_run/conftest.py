"""Wards in a folder, with a database of the kind that is being tested."""

from collections.abc import Callable
from pathlib import Path

import pytest
from each_database import database_in, each_database  # noqa: F401  a fixture, found by name
from postgresql import postgresql  # noqa: F401  a fixture, found by name
from records import Resource
from ward import Ward, made_ward


@pytest.fixture
def ward_of(tmp_path: Path) -> Callable[..., Ward]:
    """Make a ward with these records."""

    def made(*resources: Resource) -> Ward:
        folder = tmp_path / "ward"
        folder.mkdir()
        return made_ward(folder, database_in(folder), *resources)

    return made
