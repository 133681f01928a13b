"""An installation with keys, and one whose database is filled."""

from pathlib import Path

import pytest
from installation import Installation, fill
from postgresql import postgresql, postgresql_url  # noqa: F401  fixtures, found by name

from service.database.migrate import upgrade
from service.protection.keys import new_keys, write_keys


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path / "installation")
    made.folder.mkdir()
    write_keys(made.key_file, new_keys())
    return made


@pytest.fixture
def filled(installation: Installation) -> Installation:
    database = installation.database()
    upgrade(database)
    fill(installation, database)
    database.close()
    return installation
