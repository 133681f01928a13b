"""Crashes, two writers, foreign folders: the last whole state of the store stays readable."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from store_ward import ingest, shard_bytes, sodium, stored, version

from fhir_mappings.errors import StoreError
from fhir_mappings.store import StoreWriter, open_store

BEFORE = {"ada": [sodium()]}
AFTER = {"ada": [sodium()], "ben": [sodium("ben")]}

INGEST_KILLED_AT = """
import os, shutil, signal, sys
from pathlib import Path
from store_ward import ingest, sodium, version

left = int(sys.argv[3])

def killing(call):
    def killed_or(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    return killed_or

module, name = sys.argv[2].split(".")
setattr(sys.modules[module], name, killing(getattr(sys.modules[module], name)))
ingest(Path(sys.argv[1]), version(sodium("ben")))
"""


def killed_ingest(store: Path, call: str, after: int) -> int:
    """Store Ben's result in a process of its own that is killed at a call; return its exit code."""
    here = Path(__file__).resolve()
    paths = os.pathsep.join([str(here.parents[3]), str(here.parent)])
    return subprocess.run(
        [sys.executable, "-c", INGEST_KILLED_AT, str(store), call, str(after)],
        env={**os.environ, "PYTHONPATH": paths},
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.parametrize(
    ("call", "after", "expected"),
    [
        ("os.mkdir", 3, BEFORE),  # while the folders are made
        ("os.fsync", 0, BEFORE),  # when everything is written but nothing forced to disk
        ("os.fsync", 9, BEFORE),
        ("os.rename", 0, BEFORE),  # when all is on disk
        ("os.symlink", 0, BEFORE),  # when the generation is complete but not current
        ("os.replace", 0, BEFORE),  # on the point of switching
        ("os.unlink", 7, AFTER),  # after the switch, while the old generation is removed
    ],
)
def test_a_writer_killed_at_any_point_leaves_a_whole_state(tmp_path, call, after, expected):
    store = tmp_path / "store"
    ingest(store, version(sodium()))
    assert killed_ingest(store, call, after) == -signal.SIGKILL
    assert stored(store) == expected
    ingest(store, version(sodium("ben")))
    assert stored(store) == AFTER
    assert [path.name for path in (store / "generations").iterdir()] == [
        (store / "current").readlink().name
    ]
    assert not (store / "current.next").is_symlink()


def test_a_writer_killed_in_its_first_ingest_leaves_no_store_but_room_for_one(tmp_path):
    store = tmp_path / "store"
    assert killed_ingest(store, "os.replace", 0) == -signal.SIGKILL
    with pytest.raises(StoreError):
        open_store(store)
    ingest(store, version(sodium()))
    assert stored(store) == BEFORE


@pytest.mark.parametrize("call", ["fsync", "rename", "symlink", "replace", "link"])
def test_a_disk_that_fails_leaves_the_previous_state_and_no_rubbish(tmp_path, monkeypatch, call):
    store = tmp_path / "store"
    ingest(store, version(sodium()))
    before = shard_bytes(store)

    def fail(*arguments, **named):
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        if call == "link":  # file systems without links are no failure
            ingest(store, version(sodium()))
        else:
            with pytest.raises(OSError, match="full"):
                ingest(store, version(sodium("ben")))
    assert stored(store) == BEFORE
    assert shard_bytes(store) == before
    assert len(list((store / "generations").iterdir())) == 1


def test_an_error_while_settling_leaves_the_previous_state(tmp_path):
    store = tmp_path / "store"
    ingest(store, version(sodium()))

    def settle(table):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ingest(store, version(sodium("ben")), settle=settle)
    assert stored(store) == BEFORE
    assert [path.name for path in (store / "generations").iterdir()] == ["000001"]


def test_an_ingest_that_is_not_finished_changes_nothing(tmp_path):
    store = tmp_path / "store"
    ingest(store, version(sodium()))
    with StoreWriter(store) as writer:
        writer.add(*version(sodium("ben")))
    assert stored(store) == BEFORE
    assert [path.name for path in (store / "generations").iterdir()] == ["000001"]


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path):
    store = tmp_path / "store"
    with StoreWriter(store, shards=4) as writer:
        with pytest.raises(StoreError, match="another process"):
            ingest(store, version(sodium("ben")))
        writer.add(*version(sodium()))
        writer.finish()
    assert stored(store) == BEFORE
    ingest(store, version(sodium("ben")))
    assert stored(store) == AFTER


def test_a_reader_keeps_the_state_it_opened_while_the_store_moves_on(tmp_path):
    store = tmp_path / "store"
    ingest(store, version(sodium()), shards=1)
    with open_store(store) as reader:
        ingest(store, version(sodium("ben")), shards=1)
        ingest(store, version(sodium("ben", 2)), shards=1)
        assert list(reader.read_shard(0)) == [("ada", [sodium()])]
        assert len(list((store / "generations").iterdir())) == 2
    ingest(store, version(sodium("ben")), shards=1)
    assert len(list((store / "generations").iterdir())) == 1


def test_where_there_is_no_store_none_is_opened(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StoreError, match="no event store"):
            open_store(folder)


def test_a_folder_that_holds_something_else_is_not_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(StoreError, match="neither empty nor an event store"):
        ingest(tmp_path, version(sodium()))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format": "something else"}', b'{"format_version": 2}']
)
def test_a_store_of_another_format_is_neither_read_nor_written(tmp_path, content):
    store = tmp_path / "store"
    ingest(store, version(sodium()))
    (store / "current" / "store.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.json"):
        open_store(store)
    with pytest.raises(StoreError, match=r"store\.json"):
        ingest(store, version(sodium()))


def test_a_store_whose_current_generation_is_gone_says_so(tmp_path):
    store = tmp_path / "store"
    ingest(store, version(sodium()))
    shutil.rmtree(store / "generations" / "000001")
    with pytest.raises(StoreError, match="lost its current generation"):
        open_store(store)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"PAR1")])
def test_a_damaged_shard_is_reported_and_not_overlooked(tmp_path, damage):
    store = tmp_path / "store"
    ingest(store, version(sodium()), shards=1)
    damage(store / "current" / "data" / "0000.parquet")
    with open_store(store) as reader, pytest.raises(StoreError, match=r"data/0000\.parquet"):
        list(reader.read_shard(0))
    with pytest.raises(StoreError, match=r"data/0000\.parquet"):
        ingest(store, version(sodium("ben")), shards=1)


def test_the_records_are_for_their_owner_only(tmp_path):
    ingest(tmp_path / "store", version(sodium()))
    for folder in (tmp_path / "store", tmp_path / "store" / "generations"):
        assert folder.stat().st_mode & 0o077 == 0


def test_what_the_writer_noted_is_kept(tmp_path):
    store = tmp_path / "store"
    with StoreWriter(store, shards=3) as writer:
        assert writer.previous is None
        writer.add(*version(sodium()))
        writer.finish(information={"profile": "mimic", "counts": {"Observation": 1}})
    with StoreWriter(store) as writer:
        assert writer.previous is not None
        assert writer.previous.details["profile"] == "mimic"
        writer.finish()
    with open_store(store) as reader:
        assert reader.shards == 3
        assert reader.information.ingests == 2
        assert reader.information.details == {"profile": "mimic", "counts": {"Observation": 1}}
