"""Wards and a service with a real issuer, on each kind of database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from each_database import database_in, each_database
from postgresql import postgresql
from records import Resource
from trusting_service import Service, trusting_service
from ward import Ward, made_ward

__all__ = ["each_database", "postgresql"]


@pytest.fixture
def ward_of(tmp_path: Path) -> Callable[..., Ward]:
    """Make a ward with these records."""

    def made(*resources: Resource) -> Ward:
        folder = tmp_path / "ward"
        folder.mkdir()
        return made_ward(folder, database_in(folder), *resources)

    return made


@pytest.fixture(scope="module")
def service(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with trusting_service(tmp_path_factory.mktemp("service")) as running:
        yield running
