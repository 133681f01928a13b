"""An audit on each kind of database, with keys of its own and an anchor beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgresql import (
    database,
    database_url,
    postgresql,
    postgresql_url,
    private_postgresql,
    sqlite_url,
)

from service.audit.ledger import Audit, Entry
from service.audit.vocabulary import Event
from service.database.engine import Database
from service.database.migrate import upgrade
from service.identity.caller import Caller
from service.identity.roles import Purpose, Role
from service.protection.keys import Keys, new_keys
from service.settings import Settings

__all__ = [
    "database",
    "database_url",
    "postgresql",
    "postgresql_url",
    "private_postgresql",
    "sqlite_url",
]

CLINICIAN = Caller(
    way="bearer",
    issuer="https://id.example.org",
    subject="a.example",
    client="ehr",
    roles=frozenset({Role.CLINICIAN}),
)


@pytest.fixture
def keys() -> Keys:
    return new_keys()


@pytest.fixture
def audit(database: Database, keys: Keys, tmp_path: Path) -> Audit:
    """Empty."""
    return Audit(database, keys, tmp_path / "anchor")


@pytest.fixture
def small_audit(sqlite_url: str, keys: Keys, tmp_path: Path) -> Iterator[Audit]:
    """Empty, on SQLite alone: where the kind of database makes no difference."""
    opened = Database(sqlite_url)
    upgrade(opened)
    yield Audit(opened, keys, tmp_path / "anchor")
    opened.close()


@pytest.fixture
def given() -> Callable[..., Entry]:
    """An entry of a score that was given."""

    def make(patient: str = "example", purpose: Purpose = Purpose.TREATMENT) -> Entry:
        caller = Caller(
            **{
                **{f: getattr(CLINICIAN, f) for f in CLINICIAN.__struct_fields__},
                "purpose": purpose,
            }
        )
        details: dict[str, Any] = {"status": "scored", "model": "linear", "version": "1"}
        return Entry(
            event=Event.SCORE_GIVEN,
            caller=caller,
            patient=patient,
            route="/v1/score",
            details=details,
        )

    return make


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[[Audit], Settings]:
    """The settings under which a command finds an audit."""

    def make(audit: Audit) -> Settings:
        from service.protection.keys import write_keys

        write_keys(tmp_path / "keys", audit.keys)
        return Settings(
            database=audit.database.url.render_as_string(hide_password=False),
            key_file=tmp_path / "keys",
            audit_anchor=audit.anchor,
        )

    return make
