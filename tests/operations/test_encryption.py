"""The whole SQLite file under a password (SQLCipher)."""

import sys
from pathlib import Path

import pytest
from installation import Installation, fill

from service.database.engine import Database, DatabaseError
from service.database.migrate import upgrade
from service.keeping import open_keeping
from service.settings import Settings, SettingsError

pytest.importorskip("sqlcipher3", reason="the extra `sqlcipher` is not installed")

PASSWORD = "it's a canary password"


@pytest.fixture
def encrypted(installation: Installation) -> Installation:
    database = installation.database(PASSWORD)
    upgrade(database)
    fill(installation, database)
    database.close()
    return installation


def test_the_file_holds_nothing_that_could_be_read(encrypted: Installation) -> None:
    files = list(encrypted.folder.glob("readmit.db*"))
    assert files
    for file in files:
        content = file.read_bytes()
        for plain in (b"SQLite format 3", b"audit_entries", b"score_given", b"CREATE TABLE"):
            assert plain not in content


def test_what_was_written_is_read_with_the_password(encrypted: Installation) -> None:
    database = encrypted.database(PASSWORD)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM scores").scalar_one() == 12
    database.close()


@pytest.mark.parametrize("password", ["canary wrong", None])
def test_without_the_password_it_is_an_error_that_does_not_say_it(
    encrypted: Installation, password: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    database = encrypted.database(password)
    with pytest.raises(DatabaseError) as caught, database.reading():
        pass
    database.close()
    out, err = capfd.readouterr()
    assert "canary" not in str(caught.value) + repr(caught.value) + out + err


def test_the_password_comes_from_a_file_without_its_last_line_feed(
    encrypted: Installation,
) -> None:
    file = encrypted.folder / "password"
    file.write_text(PASSWORD + "\n")
    settings = Settings(
        database=f"sqlite:///{encrypted.folder / 'readmit.db'}",
        database_password_file=file,
        key_file=encrypted.key_file,
        audit_anchor=encrypted.anchor,
    )
    open_keeping(settings).close()


def test_no_setting_and_no_database_shows_the_password(encrypted: Installation) -> None:
    settings = Settings(database_password=PASSWORD)  # type: ignore[arg-type]  # pydantic reads it
    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "canary" not in repr(vars(encrypted.database(PASSWORD))["url"])


def test_an_empty_password_is_refused_for_it_would_not_encrypt(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    settings = Settings(development=True, database_password_file=tmp_path / "password")
    with pytest.raises(SettingsError, match="empty"):
        open_keeping(settings)


def test_a_password_without_sqlcipher_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)
    with pytest.raises(DatabaseError, match=r"readmit\[sqlcipher\]"):
        Database(f"sqlite:///{tmp_path / 'readmit.db'}", PASSWORD)
