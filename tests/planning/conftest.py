"""The service with a real issuer, on each kind of database."""

from collections.abc import Iterator

import pytest
from each_database import each_database
from postgresql import postgresql
from trusting_service import Service, trusting_service

__all__ = ["each_database", "postgresql"]


@pytest.fixture(scope="module")
def service(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with trusting_service(tmp_path_factory.mktemp("service")) as running:
        yield running
