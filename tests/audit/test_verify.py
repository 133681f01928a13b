"""``readmit audit verify``: whatever was done to the audit afterwards is found, and where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as generated
from hypothesis import strategies as st
from sqlalchemy import text

from service.audit.anchor import renew_anchor, write_anchor
from service.audit.ledger import Audit, Entry
from service.audit.verify import Verification, verify
from service.audit.vocabulary import Event
from service.database.audit_entries import Row, entries
from service.protection.keys import new_keys

Given = Callable[..., Entry]
COUNT = 6
FIELDS = tuple(name for name in Row.__struct_fields__ if name != "number")


@pytest.fixture
def whole(audit: Audit, given: Given) -> Audit:
    """Six entries about six patients."""
    for number in range(COUNT):
        audit.record(given(f"patient-{number}"))
    return audit


def seen(audit: Audit) -> Verification:
    return verify(audit.database, audit.keys, audit.anchor)


def found(audit: Audit) -> tuple[int | None, str]:
    finding = seen(audit).finding
    assert finding is not None
    return finding.number, finding.fault


def tamper(audit: Audit, statement: str, **values: Any) -> None:
    with audit.database.writing() as connection:
        assert connection.execute(text(statement), values).rowcount > 0


def rows(audit: Audit) -> list[Row]:
    with audit.database.reading() as connection:
        return list(entries(connection))


def test_what_nobody_touched_is_whole(whole: Audit) -> None:
    result = seen(whole)
    assert (result.finding, result.entries, result.anchored) == (None, COUNT, COUNT)
    assert result.last_hash == rows(whole)[-1].hash


def test_an_audit_without_an_entry_is_whole(audit: Audit) -> None:
    assert seen(audit) == Verification(entries=0, last_hash="0" * 64, anchored=None, finding=None)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("number", [1, 4, COUNT])
def test_an_edit_of_any_field_of_any_entry_is_found(whole: Audit, field: str, number: int) -> None:
    before = getattr(rows(whole)[number - 1], field)
    changed: Any = {
        "at": lambda: before + 1,
        "patient_sealed": lambda: before[:-1] + bytes([before[-1] ^ 1]),
    }.get(field, lambda: "0" * 16)()
    tamper(whole, f"UPDATE audit_entries SET {field} = :v WHERE number = :n", v=changed, n=number)
    assert found(whole)[0] == number


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@generated(data=st.data())
def test_no_other_value_of_a_field_has_the_same_hash(
    small_audit: Audit, given: Given, data: st.DataObject
) -> None:
    from service.audit.ledger import digest_of

    row = small_audit._row(1, "0" * 64, given())
    field = data.draw(st.sampled_from([f for f in FIELDS if f not in ("hash", "patient_sealed")]))
    present = getattr(row, field)
    kind = st.integers(0, 2**60) if isinstance(present, int) else st.none() | st.text(max_size=70)
    other = data.draw(kind.filter(lambda value: value != present))
    edited = msgspec.structs.replace(row, **{field: other})
    assert digest_of(small_audit.keys, edited) != row.hash
    assert digest_of(small_audit.keys, row) == row.hash


@pytest.mark.parametrize("field", ["patient_sealed", "patient_index", "actor", "purpose", "client"])
def test_emptying_a_field_is_found(whole: Audit, field: str) -> None:
    tamper(whole, f"UPDATE audit_entries SET {field} = NULL WHERE number = 2")
    assert found(whole)[0] == 2


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_a_deletion_is_found(whole: Audit, number: int) -> None:
    tamper(whole, "DELETE FROM audit_entries WHERE number = :n", n=number)
    assert found(whole) == (number, "cut" if number == COUNT else "missing")


def test_a_deletion_whose_gap_was_closed_is_found(whole: Audit) -> None:
    tamper(whole, "DELETE FROM audit_entries WHERE number = 3")
    for number in range(4, COUNT + 1):
        tamper(whole, "UPDATE audit_entries SET number = number - 1 WHERE number = :n", n=number)
    assert found(whole) == (3, "altered")


def test_a_reordering_is_found(whole: Audit) -> None:
    for before, after in ((2, 99), (5, 2), (99, 5)):
        tamper(whole, "UPDATE audit_entries SET number = :a WHERE number = :b", a=after, b=before)
    assert found(whole) == (2, "altered")


def test_a_cut_is_found_even_where_the_head_was_moved_with_it(whole: Audit) -> None:
    last = rows(whole)[3]
    tamper(whole, "DELETE FROM audit_entries WHERE number > 4")
    assert found(whole) == (5, "cut")
    tamper(whole, "UPDATE audit_head SET number = 4, hash = :h", h=last.hash)
    assert found(whole) == (5, "cut")


def test_a_cut_to_nothing_is_found(whole: Audit) -> None:
    tamper(whole, "DELETE FROM audit_entries")
    tamper(whole, "UPDATE audit_head SET number = 0, hash = :h", h="0" * 64)
    assert found(whole) == (1, "cut")


def test_an_anchor_that_is_not_there_is_a_finding(whole: Audit) -> None:
    whole.anchor.unlink()
    assert found(whole) == (None, "anchor")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 9000, b'{"number":6}'])
def test_an_anchor_that_says_nothing_is_a_finding(whole: Audit, content: bytes) -> None:
    whole.anchor.write_bytes(content)
    assert found(whole) == (None, "anchor")


def test_an_anchor_that_somebody_else_wrote_is_a_finding(whole: Audit) -> None:
    whole.anchor.unlink()
    write_anchor(whole.anchor, new_keys(), COUNT, rows(whole)[-1].hash)
    assert found(whole) == (None, "anchor")


def test_an_anchor_of_another_chain_is_a_finding(whole: Audit) -> None:
    renew_anchor(whole.anchor, whole.keys, 4, "b" * 64)
    assert found(whole) == (4, "anchor")


def test_a_tail_that_was_forged_is_found_though_each_hash_covers_the_one_before(
    whole: Audit,
) -> None:
    forger = Audit(whole.database, new_keys(), whole.anchor)
    last = rows(whole)[-1]
    row = forger._row(COUNT + 1, last.hash, Entry(event=Event.SIGNED_OUT, caller=None))
    with whole.database.writing() as connection:
        forger._append(connection, (COUNT, last.hash), [Entry(event=Event.SIGNED_OUT, caller=None)])
    assert row.previous == last.hash
    assert found(whole) == (COUNT + 1, "altered")


def test_an_entry_behind_the_head_is_found(whole: Audit) -> None:
    last = rows(whole)[3]
    tamper(whole, "UPDATE audit_head SET number = 4, hash = :h", h=last.hash)
    assert found(whole) == (5, "head")


def test_patients_that_were_swapped_are_found(whole: Audit) -> None:
    second, third = rows(whole)[1:3]
    for number, other in ((2, third), (3, second)):
        tamper(
            whole,
            "UPDATE audit_entries SET patient_sealed = :s WHERE number = :n",
            s=other.patient_sealed,
            n=number,
        )
    assert found(whole) == (2, "patient")


def test_entries_that_are_added_meanwhile_are_no_finding(whole: Audit, given: Given) -> None:
    from service.audit import verify as module

    added = []

    def add(done: int, whole_count: int) -> None:
        added.append((done, whole_count))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TELL_EVERY", 1)
        patched.setattr(
            module.audit_entries,
            "head",
            _recording_first(module.audit_entries.head, lambda: whole.record(given("new"))),
        )
        result = verify(whole.database, whole.keys, whole.anchor, add)
    assert result.finding is None
    assert added[-1][0] >= COUNT


def _recording_first(head: Any, record: Callable[[], None]) -> Any:
    def with_addition(connection: Any) -> Any:
        present = head(connection)
        record()
        return present

    return with_addition


@pytest.fixture
def readmit(whole: Audit, settings_of: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Any:
    """The command, on this audit."""
    import sys

    from service.cli import main

    chosen = settings_of(whole)
    monkeypatch.setenv("READMIT_DATABASE", chosen.database)
    monkeypatch.setenv("READMIT_KEY_FILE", str(chosen.key_file))
    monkeypatch.setenv("READMIT_AUDIT_ANCHOR", str(chosen.audit_anchor))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["readmit", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return (code, *capfd.readouterr())

    return run


def test_the_command_says_that_the_audit_is_whole(readmit: Any) -> None:
    code, out, _ = readmit("audit", "verify")
    assert code == 0
    assert f"{COUNT} entries, each as it was written" in out
    code, out, _ = readmit("audit", "verify", "--json")
    assert code == 0
    assert json.loads(out)["whole"] is True


def test_the_command_names_the_first_entry_at_fault_and_fails(whole: Audit, readmit: Any) -> None:
    tamper(whole, "UPDATE audit_entries SET outcome = 'failed' WHERE number >= 4")
    code, _, err = readmit("audit", "verify")
    assert code == 9
    assert err.splitlines()[-1] == "readmit: entry 4 is not what was written"
    code, out, _ = readmit("audit", "verify", "--json")
    assert code == 9
    answer = json.loads(out)
    assert answer["whole"] is False
    assert answer["finding"]["number"] == 4


def test_the_command_makes_no_database_where_there_is_none(
    readmit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("READMIT_DATABASE", f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert readmit("audit", "verify")[0] == 8
    assert readmit("database", "status")[0] == 8
    assert not (tmp_path / "nowhere.db").exists()


def test_a_lost_anchor_is_set_anew_and_that_is_entered(whole: Audit, readmit: Any) -> None:
    whole.anchor.unlink()
    assert readmit("audit", "verify")[0] == 9
    code, out, _ = readmit("audit", "anchor", "--why", "lost", "--json")
    assert (code, json.loads(out)) == (0, {"number": COUNT + 1})
    assert readmit("audit", "verify")[0] == 0
    assert rows(whole)[-1].event == Event.AUDIT_ANCHORED


def test_the_database_commands_say_the_version(readmit: Any) -> None:
    code, out, _ = readmit("database", "status", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["version"] == answer["needed"] == "0003"
    code, out, _ = readmit("database", "upgrade", "--json")
    assert (code, json.loads(out)) == (0, {"from": "0003", "version": "0003"})


def test_the_upgrade_command_makes_a_database_of_nothing(
    readmit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("READMIT_DATABASE", f"sqlite:///{tmp_path / 'new.db'}")
    assert json.loads(readmit("database", "upgrade", "--json")[1]) == {
        "from": None,
        "version": "0001",
    }
    assert readmit("database", "status")[0] == 0
