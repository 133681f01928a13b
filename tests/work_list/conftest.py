"""The service with a real issuer, on each kind of database, and an empty list."""

from collections.abc import Iterator

import pytest
from each_database import each_database
from postgresql import postgresql
from sqlalchemy import delete
from trusting_service import Service, trusting_service

from service.database import tables

__all__ = ["each_database", "postgresql"]


@pytest.fixture(scope="module")
def running(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with trusting_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(running: Service) -> Service:
    with running.keeping.database.writing() as connection:
        for table in (tables.WORK_LIST, tables.FOLLOW_UPS, tables.SCORES):
            connection.execute(delete(table))
    running.opt_out.write_text("# nobody yet\n")
    return running
