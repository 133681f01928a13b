"""A work list with stays on it, kept on each kind of database, and people who work it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from each_database import each_database  # noqa: F401  a fixture, found by name
from postgresql import (  # noqa: F401  fixtures, found by name
    database_url,
    postgresql,
    postgresql_url,
    sqlite_url,
)
from worked_list import WorkedList, worked_list

from service.protection.keys import new_keys, write_keys


@pytest.fixture
def worked(database_url: str, tmp_path: Path) -> Iterator[WorkedList]:  # noqa: F811  a fixture
    write_keys(tmp_path / "keys", new_keys())
    opened = worked_list(database_url, tmp_path)
    opened.prepare()
    yield opened
    opened.keeping.close()
