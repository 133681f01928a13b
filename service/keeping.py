"""What the service keeps and accounts for: its database, the operator's keys, and the audit."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from service.audit.ledger import Audit
from service.database.engine import Database, DatabaseError
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
    database = open_database(settings)
    keys = keys_of(settings, database)
    if database.is_sqlite:
        upgrade(database)
    else:
        check(database)
    return Keeping(database, keys, Audit(database, keys, anchor_of(settings, database)))


def open_existing(settings: Settings) -> Keeping:
    """Open what is there, for a command that looks at it: nothing is made or brought up to date.

    Raises:
        SettingsError: if no keys are named, outside of development mode.
        KeysError: if the keys cannot be read.
        DatabaseError: if there is no database, or it is at another version.
    """
    database = existing_database(settings)
    check(database)
    keys = keys_of(settings, database)
    return Keeping(database, keys, Audit(database, keys, anchor_of(settings, database)))


def existing_database(settings: Settings) -> Database:
    """The database that the settings name; an SQLite file that is not there is not made.

    Raises:
        DatabaseError: if there is no such file.
    """
    database = open_database(settings)
    if database.file is not None and not database.file.exists():
        raise DatabaseError(f"{database.file}: there is no database yet")
    return database


def open_database(settings: Settings) -> Database:
    """The database that the settings name, as it is.

    Raises:
        SettingsError: if its password cannot be read.
        DatabaseError: if the URL is not one of a database that is supported.
    """
    return Database(settings.database, _password(settings))


def _password(settings: Settings) -> str | None:
    if settings.database_password_file is not None:
        try:
            content = settings.database_password_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise SettingsError("READMIT_DATABASE_PASSWORD_FILE: it cannot be read") from None
        # Editors and `echo` end a file with a line feed that nobody meant.
        password = content.rstrip("\r\n")
    elif settings.database_password is not None:
        password = settings.database_password.get_secret_value()
    else:
        return None
    if not password:
        # SQLCipher would take it for the wish not to encrypt.
        raise SettingsError("READMIT_DATABASE_PASSWORD: the password is empty")
    return password


def key_file(settings: Settings, database: Database) -> Path:
    """The file that holds the keys.

    Raises:
        SettingsError: if they are held by a variable, which nobody can rewrite, or are not named.
    """
    if settings.keys is not None:
        raise SettingsError("READMIT_KEYS: a variable cannot be rewritten; name READMIT_KEY_FILE")
    if settings.key_file is not None:
        return settings.key_file
    if not settings.development:
        raise SettingsError(
            "READMIT_KEY_FILE: identifiers are sealed with the operator's keys; make some with "
            "`readmit keys new FILE` and name the file"
        )
    return _beside(database, ".keys")


def named_keys(settings: Settings) -> Keys | None:
    """The keys that the settings name; None where they name none.

    Raises:
        KeysError: if they cannot be read.
    """
    if settings.keys is not None:
        return parse_keys(settings.keys.get_secret_value().encode())
    return None if settings.key_file is None else read_keys(settings.key_file)


def keys_of(settings: Settings, database: Database) -> Keys:
    """The keys that the settings name. In development mode they are made where there are none.

    Raises:
        SettingsError: if no keys are named, outside of development mode.
        KeysError: if the keys cannot be read.
    """
    if (named := named_keys(settings)) is not None:
        return named
    file = key_file(settings, database)
    if not file.exists():
        # Another worker, starting at the same moment, may be first.
        with suppress(KeysError):
            write_keys(file, new_keys())
    return read_keys(file)


def anchor_of(settings: Settings, database: Database) -> Path:
    """The file that the audit's chain is anchored in."""
    return settings.audit_anchor or _beside(database, ".audit-anchor")


def _beside(database: Database, suffix: str) -> Path:
    file = database.file or Path("readmit.db")
    return file.with_name(file.name + suffix)
