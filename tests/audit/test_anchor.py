"""The second file: a torn or refused write never stops or deceives, and a cut is seen at once."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st
from sqlalchemy import text

from service.audit.anchor import PAGE, AuditError, check_anchor, read_anchor, write_anchor
from service.audit.ledger import Audit, Entry
from service.audit.verify import verify
from service.audit.vocabulary import Event
from service.protection.keys import Keys, new_keys

DIGEST = "a" * 64
Given = Callable[..., Entry]


def number_in(path: Path, keys: Keys) -> int | None:
    anchor = read_anchor(path, keys)
    return None if anchor is None else anchor.number


@generated(
    broken=st.binary(min_size=1, max_size=PAGE),
    start=st.integers(0, PAGE - 1),
    copy=st.integers(0, 1),
)
def test_whatever_happens_to_one_copy_the_other_still_anchors(
    tmp_path_factory: pytest.TempPathFactory, broken: bytes, start: int, copy: int
) -> None:
    path, keys = tmp_path_factory.mktemp("torn") / "anchor", new_keys()
    for number in (1, 2):
        write_anchor(path, keys, number, DIGEST)
    with path.open("r+b") as file:
        file.seek(copy * PAGE + start)
        file.write(broken[: PAGE - start])
    assert number_in(path, keys) in (1, 2)
    write_anchor(path, keys, 3, DIGEST)
    assert number_in(path, keys) == 3


def test_a_write_that_ends_half_way_leaves_the_one_before(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "anchor"
    for number in (1, 2, 3):
        write_anchor(path, keys, number, DIGEST)
    before = path.read_bytes()
    write_anchor(path, keys, 4, DIGEST)
    after = path.read_bytes()
    changed = next(at for at in range(2 * PAGE) if before[at] != after[at])
    for length in range(changed, changed + 120):
        path.write_bytes(after[:length] + before[length:])
        assert number_in(path, keys) in (3, 4)


def test_the_anchor_never_goes_back(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "anchor"
    write_anchor(path, keys, 9, DIGEST)
    write_anchor(path, keys, 8, "b" * 64)
    assert number_in(path, keys) == 9


def test_nobody_but_its_owner_reads_it(tmp_path: Path, keys: Keys) -> None:
    write_anchor(tmp_path / "anchor", keys, 1, DIGEST)
    assert (tmp_path / "anchor").stat().st_mode & 0o777 == 0o600


def test_an_anchor_of_other_keys_anchors_nothing(tmp_path: Path, keys: Keys) -> None:
    write_anchor(tmp_path / "anchor", new_keys(), 1, DIGEST)
    with pytest.raises(AuditError, match="not written with these keys"):
        read_anchor(tmp_path / "anchor", keys)
    with pytest.raises(AuditError):
        check_anchor(tmp_path / "anchor", keys, 1, DIGEST)


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="a device that is always full is Linux's"
)
def test_an_anchor_on_a_full_disk_refuses_the_entry(audit: Audit, given: Given) -> None:
    audit.anchor.symlink_to("/dev/full")
    with pytest.raises(AuditError, match="No space left"):
        audit.record(given())
    assert verify(audit.database, audit.keys, audit.anchor).entries == 0


def test_an_anchor_in_no_folder_refuses_the_entry(audit: Audit, given: Given) -> None:
    nowhere = Audit(audit.database, audit.keys, audit.anchor / "nowhere" / "anchor")
    with pytest.raises(AuditError, match="no such folder"):
        nowhere.record(given())


def test_a_chain_that_was_cut_is_not_grown_again(audit: Audit, given: Given) -> None:
    for _ in range(5):
        audit.record(given())
    with audit.database.writing() as connection:
        (digest,) = connection.execute(
            text("SELECT hash FROM audit_entries WHERE number = 3")
        ).one()
        connection.execute(text("DELETE FROM audit_entries WHERE number > 3"))
        connection.execute(text("UPDATE audit_head SET number = 3, hash = :h"), {"h": digest})
    with pytest.raises(AuditError, match="entries were removed"):
        audit.record(given())
    seen = verify(audit.database, audit.keys, audit.anchor)
    assert seen.finding is not None
    assert (seen.finding.number, seen.finding.fault) == (4, "cut")


def test_a_head_that_was_moved_back_does_not_fork_the_chain(audit: Audit, given: Given) -> None:
    for _ in range(3):
        audit.record(given())
    audit.anchor_anew(Entry(event=Event.AUDIT_ANCHORED, caller=None, details={"why": "moved"}))
    with audit.database.writing() as connection:
        (digest,) = connection.execute(
            text("SELECT hash FROM audit_entries WHERE number = 2")
        ).one()
        connection.execute(text("UPDATE audit_head SET number = 2, hash = :h"), {"h": digest})
    with pytest.raises(AuditError):
        audit.anchor_anew(Entry(event=Event.AUDIT_ANCHORED, caller=None, details={"why": "moved"}))


def test_a_head_that_was_removed_is_the_audits_error(audit: Audit, given: Given) -> None:
    with audit.database.writing() as connection:
        connection.execute(text("DELETE FROM audit_head"))
    with pytest.raises(AuditError, match="end is not known"):
        audit.record(given())


def test_an_anchor_that_was_removed_is_not_made_again_in_silence(
    audit: Audit, given: Given
) -> None:
    audit.record(given())
    audit.anchor.unlink()
    with pytest.raises(AuditError, match="anchor is missing"):
        audit.record(given())
    assert not audit.anchor.exists()
    number = audit.anchor_anew(
        Entry(event=Event.AUDIT_ANCHORED, caller=None, details={"why": "lost"})
    )
    assert number == 2
    audit.record(given())
    seen = verify(audit.database, audit.keys, audit.anchor)
    assert (seen.finding, seen.entries, seen.anchored) == (None, 3, 3)


def test_a_first_write_that_was_interrupted_does_not_stop_the_second(
    audit: Audit, given: Given
) -> None:
    audit.anchor.write_bytes(b'{"number":0,"ha')
    audit.record(given())
    assert verify(audit.database, audit.keys, audit.anchor).anchored == 1


_ALMOST_FULL = """
import resource, signal, sys
from pathlib import Path
from service.audit.anchor import AuditError, write_anchor
from service.protection.keys import read_keys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_anchor(Path(sys.argv[1]), read_keys(Path(sys.argv[2])), 2, "b" * 64)
except AuditError as error:
    print(error)
"""


def test_a_disk_that_is_full_half_way_through_leaves_the_anchor_before(
    tmp_path: Path, keys: Keys
) -> None:
    from service.protection.keys import write_keys

    write_keys(tmp_path / "keys", keys)
    write_anchor(tmp_path / "anchor", keys, 1, DIGEST)
    done = subprocess.run(
        [sys.executable, "-c", _ALMOST_FULL, str(tmp_path / "anchor"), str(tmp_path / "keys")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
    )
    assert "cannot be written" in done.stdout, done.stderr
    assert number_in(tmp_path / "anchor", keys) == 1
