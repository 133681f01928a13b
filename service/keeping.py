"""What the service keeps and accounts for: its database, the operator's keys, and the audit."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from service.audit.ledger import Audit
from service.database.engine import Database
from service.database.migrate import check, upgrade
from service.protection.keys import Keys, KeysError, new_keys, parse_keys, read_keys, write_keys
from service.settings import Settings, SettingsError


class Keeping(NamedTuple):
    """An open database with its keys and its audit."""

    database: Database
    keys: Keys
    audit: Audit

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()


def open_keeping(settings: Settings) -> Keeping:
    """Open what the settings name. An SQLite file is made, or brought to the newest version.

    A server's database is not changed here: of several services that start at once, some may still
    be at the version before. ``readmit database upgrade`` does it.

    Raises:
        SettingsError: if no keys are named, outside of development mode.
        KeysError: if the keys cannot be read.
        DatabaseError: if the database cannot be reached, or is at another version.
    """
    database = Database(settings.database)
    keys = _keys(settings, database)
    if database.is_sqlite:
        upgrade(database)
    else:
        check(database)
    return Keeping(database, keys, Audit(database, keys, _anchor(settings, database)))


def named_keys(settings: Settings) -> Keys | None:
    """The keys that the settings name; None where they name none.

    Raises:
        KeysError: if they cannot be read.
    """
    if settings.keys is not None:
        return parse_keys(settings.keys.get_secret_value().encode())
    return None if settings.key_file is None else read_keys(settings.key_file)


def _keys(settings: Settings, database: Database) -> Keys:
    if (named := named_keys(settings)) is not None:
        return named
    if not settings.development:
        raise SettingsError(
            "READMIT_KEY_FILE: identifiers are sealed with the operator's keys; make some with "
            "`readmit keys new FILE` and name the file"
        )
    beside = _beside(database, ".keys")
    if not beside.exists():
        # Another worker, starting at the same moment, may be first.
        with suppress(KeysError):
            write_keys(beside, new_keys())
    return read_keys(beside)


def _anchor(settings: Settings, database: Database) -> Path:
    return settings.audit_anchor or _beside(database, ".audit-anchor")


def _beside(database: Database, suffix: str) -> Path:
    file = database.file or Path("readmit.db")
    return file.with_name(file.name + suffix)
