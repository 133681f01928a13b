"""The signed record: whatever is done to it behind the signer's back shows."""

import json
import shutil

import msgspec
import pytest

from fhir_mappings.errors import PromotionError
from training.promotion import record
from training.promotion.keys import PUBLIC_KEY, make_key
from training.promotion.record import HEAD, RECORD, Decided, append, in_use, verify


def decided(version: str, action: str = "promote") -> Decided:
    return Decided(
        action=action,
        version=version,
        run_id=f"run-{version}",
        manifest_sha256="ab" * 32,
        study_sha256="cd" * 32,
        data_fingerprint="00" * 32,
        gates=(),
        provisional=False,
        reasons=("simulated",),
        by="Dr Simulated",
    )


@pytest.fixture
def mlruns(tmp_path):
    folder = tmp_path / "mlruns"
    folder.mkdir()
    for version in ("1", "2", "3"):
        append(folder, decided(version))
    return folder


def lines(mlruns) -> list[bytes]:
    return (mlruns / RECORD).read_bytes().splitlines(keepends=True)


def test_what_was_entered_is_read_back_in_order(mlruns):
    entries = verify(mlruns).entries
    assert [entry.number for entry in entries] == [1, 2, 3]
    assert [entry.version for entry in entries] == ["1", "2", "3"]
    assert len({entry.previous for entry in entries}) == 3
    assert in_use(entries).version == "3"


def test_nothing_decided_yet_is_an_empty_record(tmp_path):
    assert verify(tmp_path).entries == ()
    assert in_use(()) is None


def test_a_refusal_does_not_change_what_is_in_use(mlruns):
    append(mlruns, decided("4", "refuse"))
    assert in_use(verify(mlruns).entries).version == "3"


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    ("was", "becomes"),
    [(b"Dr Simulated", b"Dr Somebody "), (b'"version":"', b'"version":"9'), (b"{", b"{ ")],
    ids=["person", "version", "a blank"],
)
def test_an_entry_that_was_edited_is_found(mlruns, number, was, becomes):
    changed = lines(mlruns)
    changed[number] = changed[number].replace(was, becomes)
    (mlruns / RECORD).write_bytes(b"".join(changed))
    with pytest.raises(PromotionError):
        verify(mlruns)
    with pytest.raises(PromotionError):
        append(mlruns, decided("4"))


@pytest.mark.parametrize(
    "order",
    [(1, 2), (0, 2), (0, 1), (0,), (), (1, 0, 2), (0, 2, 1), (0, 0, 1, 2), (0, 1, 2, 2)],
    ids=str,
)
def test_entries_that_were_removed_moved_or_repeated_are_found(mlruns, order):
    there = lines(mlruns)
    (mlruns / RECORD).write_bytes(b"".join(there[number] for number in order))
    with pytest.raises(PromotionError):
        verify(mlruns)


def test_a_record_cut_short_with_its_head_removed_is_found(mlruns):
    (mlruns / RECORD).write_bytes(lines(mlruns)[0])
    (mlruns / HEAD).unlink()
    with pytest.raises(PromotionError, match="absent"):
        verify(mlruns)


def test_a_head_that_was_rewritten_to_fit_a_shorter_record_is_found(mlruns):
    there = lines(mlruns)
    (mlruns / RECORD).write_bytes(b"".join(there[:2]))
    head = json.loads((mlruns / HEAD).read_bytes())
    head["content"] = {"number": 2, "sha256": verify_two(mlruns, there)}
    (mlruns / HEAD).write_bytes(msgspec.json.encode(head))
    with pytest.raises(PromotionError, match="changed, or signed with another key"):
        verify(mlruns)


def verify_two(mlruns, there) -> str:
    return record._sha256(there[1].rstrip(b"\n"))


def test_a_head_cannot_be_passed_off_as_an_entry(mlruns):
    with (mlruns / RECORD).open("ab") as file:
        file.write((mlruns / HEAD).read_bytes() + b"\n")
    with pytest.raises(PromotionError, match="entry 4"):
        verify(mlruns)


def test_a_record_signed_anew_with_another_key_is_found_by_whoever_kept_the_key(mlruns, tmp_path):
    kept = shutil.copy(mlruns / PUBLIC_KEY, tmp_path / "kept.pem")
    forged = tmp_path / "forged"
    forged.mkdir()
    append(forged, decided("7"))
    assert in_use(verify(forged).entries).version == "7"
    with pytest.raises(PromotionError, match="not the key"):
        verify(forged, kept)
    assert len(verify(mlruns, kept).entries) == 3
    shutil.copy(forged / PUBLIC_KEY, mlruns / PUBLIC_KEY)
    with pytest.raises(PromotionError, match="another key"):
        verify(mlruns)


def test_another_private_key_may_not_go_on_with_the_record(mlruns, tmp_path, monkeypatch):
    make_key(tmp_path / "other.pem")
    with pytest.raises(PromotionError, match="not the one"):
        append(mlruns, decided("4"), key=tmp_path / "other.pem")
    monkeypatch.setenv("READMIT_SIGNING_KEY", str(tmp_path / "other.pem"))
    with pytest.raises(PromotionError, match="not the one"):
        append(mlruns, decided("4"))
    assert len(verify(mlruns).entries) == 3


def test_a_key_is_named_and_then_none_is_made(tmp_path):
    make_key(tmp_path / "vault" / "key.pem")
    mlruns = tmp_path / "mlruns"
    mlruns.mkdir()
    entry = append(mlruns, decided("1"), key=tmp_path / "vault" / "key.pem")
    assert not (mlruns / "keys").exists()
    assert verify(mlruns).entries == (entry,)
    with pytest.raises(PromotionError, match="never overwritten"):
        make_key(tmp_path / "vault" / "key.pem")


def test_half_a_line_is_not_trusted_and_put_aside_by_the_next_decision(mlruns):
    whole = (mlruns / RECORD).read_bytes()
    for cut in (1, len(lines(mlruns)[2]) - 1):
        # The whole entry without its end of line is half a line, too: nothing followed it.
        torn = lines(mlruns)[2][:cut]
        (mlruns / RECORD).write_bytes(whole + torn)
        assert len(verify(mlruns).entries) == 3
        assert verify(mlruns).torn == torn
    append(mlruns, decided("4"))
    assert [entry.version for entry in verify(mlruns).entries] == ["1", "2", "3", "4"]
    (aside,) = mlruns.glob(f"{RECORD}.torn-*")
    assert aside.read_bytes() == torn


def test_an_entry_that_the_head_does_not_count_yet_counts(mlruns):
    before = (mlruns / HEAD).read_bytes()
    append(mlruns, decided("4"))
    (mlruns / HEAD).write_bytes(before)
    assert in_use(verify(mlruns).entries).version == "4"
    append(mlruns, decided("5"))
    assert verify(mlruns).anchored == 5
    (mlruns / HEAD).write_bytes(before)
    with pytest.raises(PromotionError, match="not that of this record"):
        verify(mlruns)
