"""Rotating the keys: nothing is lost, nothing stays behind, whenever it is killed."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from installation import CANARY, Installation, score_row
from sqlalchemy import insert, select

from service import key_rotation
from service.audit import ledger
from service.audit.ledger import digest_of
from service.database import audit_entries, sealed_columns, tables
from service.database.engine import Database
from service.database.sealed_columns import SEALED_COLUMNS
from service.key_rotation import rotate
from service.protection import rotation
from service.protection.keys import KeysError, new_keys, parse_keys, read_keys, write_keys
from service.protection.sealing import seal, sealed_with, unseal

pytestmark = pytest.mark.usefixtures("each_database")


def opened(installation: Installation) -> list[str]:
    """Every sealed value, opened with the key file as it is."""
    keys = installation.keys
    database = installation.database()
    with database.reading() as connection:
        found = [
            unseal(keys, value, sealed.context)
            for sealed in SEALED_COLUMNS
            for (value,) in connection.execute(
                select(sealed.column).where(sealed.column.is_not(None)).order_by(sealed.row_id)
            )
        ]
    database.close()
    return found


def key_ids(installation: Installation) -> set[str]:
    database = installation.database()
    with database.reading() as connection:
        found = {
            sealed_with(value)
            for sealed in SEALED_COLUMNS
            for (value,) in connection.execute(
                select(sealed.column).where(sealed.column.is_not(None))
            )
        }
    database.close()
    return found


def chain(installation: Installation) -> list[str]:
    """The events of the audit, once its chain was checked."""
    database = installation.database()
    previous, events = audit_entries.START, []
    with database.reading() as connection:
        for row in audit_entries.entries(connection):
            assert (row.previous, row.hash) == (previous, digest_of(installation.keys, row))
            previous = row.hash
            events.append(row.event)
    database.close()
    return events


def turned(installation: Installation, **options: Any) -> key_rotation.Rotated:
    database = installation.database()
    try:
        return rotate(
            installation.key_file,
            database,
            installation.anchor,
            **{"under_way_seconds": 0, "at_once": 5, **options},
        )
    finally:
        database.close()


@pytest.mark.parametrize("table", tables.METADATA.sorted_tables, ids=lambda table: table.name)
def test_every_sealed_column_is_declared_with_a_context_of_its_own(table: Any) -> None:
    found = {column.name for column in table.columns if column.name.endswith("_sealed")}
    declared = {sealed.name for sealed in SEALED_COLUMNS if sealed.table is table}
    assert found == declared
    contexts = [sealed.context for sealed in SEALED_COLUMNS]
    assert len(contexts) == len(set(contexts))


def test_the_audit_seals_patients_with_the_context_that_is_declared() -> None:
    (declared,) = [one for one in SEALED_COLUMNS if one.table is tables.AUDIT_ENTRIES]
    assert declared.context == ledger.PATIENT_CONTEXT


def test_after_a_rotation_the_old_key_is_gone_and_everything_still_reads(
    filled: Installation,
) -> None:
    before, old = opened(filled), filled.keys
    rotated = turned(filled)
    assert (rotated.key, rotated.count) == ("k2", len(before))
    assert set(filled.keys.sealing) == key_ids(filled) == {"k2"}
    assert opened(filled) == before
    assert all(CANARY in text for text in before)
    # What finds rows, and what vouches for the anchor, stays.
    assert (filled.keys.index, filled.keys.anchor) == (old.index, old.anchor)
    assert chain(filled)[-1] == "keys_rotated"


def test_a_second_rotation_takes_a_new_id(filled: Installation) -> None:
    turned(filled)
    assert turned(filled).key == "k3"
    assert key_ids(filled) == {"k3"}


def test_the_keys_of_before_are_put_aside_and_read_a_backup_of_before(
    filled: Installation, tmp_path: Path
) -> None:
    copy = filled.copied_to(tmp_path / "backup")
    before = opened(filled)
    aside = turned(filled).aside
    assert aside is not None
    copy.key_file.unlink()
    shutil.copy(aside, copy.key_file)
    assert opened(copy) == before
    assert Path(aside).stat().st_mode & 0o077 == 0


def test_a_running_service_seals_with_the_new_key_as_soon_as_it_is_in_the_file(
    filled: Installation,
) -> None:
    running = read_keys(filled.key_file)
    sealed_before = seal(running, CANARY, "scores.score")
    rotation.with_new_key(filled.key_file)
    assert sealed_with(seal(running, CANARY, "scores.score")) == "k2"
    assert unseal(running, sealed_before, "scores.score") == CANARY


def test_keys_of_another_installation_in_the_same_place_are_refused(filled: Installation) -> None:
    running = read_keys(filled.key_file)
    write_keys(filled.key_file, new_keys(), replace=True)
    with pytest.raises(KeysError, match="another installation"):
        seal(running, CANARY, "scores.score")


def test_keys_stay_in_use_while_their_file_is_away(filled: Installation) -> None:
    running = read_keys(filled.key_file)
    filled.key_file.rename(filled.folder / "elsewhere")
    assert unseal(running, seal(running, CANARY, "x"), "x") == CANARY


def test_what_a_request_under_way_commits_with_the_old_key_is_sealed_anew(
    filled: Installation,
) -> None:
    """It sealed before the rotation began, and commits after the first walk is over."""
    late = score_row(filled.keys, 999)
    assert sealed_with(late["score_sealed"]) == "k1"  # type: ignore[arg-type]  # bytes

    def commits_late(_: float) -> None:
        database = filled.database()
        with database.writing() as connection:
            connection.execute(insert(tables.SCORES), [late])
        database.close()

    with mock.patch.object(key_rotation.time, "sleep", commits_late):
        turned(filled)
    assert key_ids(filled) == {"k2"}
    assert f"{CANARY} score 999" in opened(filled)


def test_two_rotations_at_once_are_one(filled: Installation) -> None:
    with (
        rotation.rotating(filled.key_file),
        pytest.raises(KeysError, match="rotated already"),
    ):
        turned(filled)
    assert set(filled.keys.sealing) == {"k1"}


def test_a_service_writes_and_reads_all_the_while(filled: Installation) -> None:
    stop, failures = threading.Event(), []

    def serve() -> None:
        keys, database = read_keys(filled.key_file), filled.database()
        number = 1000
        try:
            while not stop.is_set():
                number += 1
                with database.writing() as connection:
                    connection.execute(insert(tables.SCORES), [score_row(keys, number)])
                with database.reading() as connection:
                    for (value,) in connection.execute(select(tables.SCORES.c.score_sealed)):
                        unseal(keys, value, "scores.score")
        except Exception as error:  # noqa: BLE001  whatever it is, the test must say so
            failures.append(error)
        finally:
            database.close()

    service = threading.Thread(target=serve)
    service.start()
    try:
        turned(filled, under_way_seconds=1.0)
        turned(filled, under_way_seconds=1.0)
    finally:
        stop.set()
        service.join()
    assert failures == []
    assert key_ids(filled) == {"k3"}


STEPS = (
    (rotation, "write_keys"),
    (key_rotation, "seal_anew"),
    (sealed_columns, "update"),
    (ledger, "write_anchor"),
    (key_rotation, "without_old_keys"),
)
"""Whatever a rotation changes, on disk or in a transaction."""


def killed_before(installation: Installation, last: int | None) -> int:
    """Rotate in a child that dies before its step ``last``; how many steps it took, or -1."""
    child = os.fork()
    if child == 0:
        taken = 0

        def before(step: Callable[..., Any]) -> Callable[..., Any]:
            def taking(*arguments: Any, **named: Any) -> Any:
                nonlocal taken
                if taken == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                taken += 1
                return step(*arguments, **named)

            return taking

        with ExitStack() as patched:
            for place, name in STEPS:
                patched.enter_context(mock.patch.object(place, name, before(getattr(place, name))))
            turned(installation)
        os._exit(min(taken, 254))
    status = os.waitpid(child, 0)[1]
    return -1 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def copies(installation: Installation, scratch: Path) -> Iterator[Installation]:
    number = 0
    while True:
        number += 1
        yield installation.copied_to(scratch / str(number))


@pytest.mark.slow
def test_killed_before_any_step_it_is_finished_by_the_next_one(
    filled: Installation, tmp_path: Path
) -> None:
    before = opened(filled)
    fresh = copies(filled, tmp_path / "copies")
    steps = killed_before(next(fresh), None)
    assert steps > 30
    for last in range(steps):
        copy = next(fresh)
        assert killed_before(copy, last) == -1
        assert opened(copy)[:5] == before[:5], f"readable in between, killed before step {last}"
        turned(copy)
        assert set(copy.keys.sealing) == key_ids(copy) == {copy.keys.current}
        assert opened(copy) == before
        assert "keys_rotated" in chain(copy)


def test_keys_from_a_variable_are_never_read_again() -> None:
    keys = parse_keys(
        b'{"index":"%s","anchor":"%s","sealing":{"k1":"%s"},"current":"k1"}'
        % ((b"A" * 43 + b"=",) * 3)
    )
    assert keys.current == "k1"
    assert "AAAA" not in repr(keys)


def test_a_database_that_takes_no_writes_leaves_both_keys_in_the_file(
    filled: Installation,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with (
        mock.patch.object(Database, "writing", full),
        pytest.raises(OSError, match="No space"),
    ):
        turned(filled)
    assert set(filled.keys.sealing) == {"k1", "k2"}
    turned(filled)
    assert key_ids(filled) == {"k2"}
