"""Pseudonyms: the same for the same, and nothing without the key."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from fhir_mappings.errors import PseudonymError
from fhir_mappings.pseudonyms import KEY_FILE, Pseudonyms, store_pseudonyms


def test_a_patient_keeps_the_pseudonym_and_no_two_share_one():
    names = Pseudonyms(b"k" * 32)
    assert names.of("Patient", "ada") == names.of("Patient", "ada")
    every = {names.of(kind, f"{n}") for kind in ("Patient", "Encounter") for n in range(1000)}
    assert len(every) == 2000


def test_another_key_gives_other_pseudonyms():
    assert Pseudonyms(b"k" * 32).of("Patient", "a") != Pseudonyms(b"l" * 32).of("Patient", "a")


def test_the_key_is_made_once_and_its_owner_alone_may_read_it(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: store_pseudonyms(tmp_path).of("Patient", "ada"), range(40)))
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "abcd", "not a key", "\xe9"])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path, content):
    (tmp_path / KEY_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(PseudonymError, match=r"pseudonym\.key"):
        store_pseudonyms(tmp_path)
    assert (tmp_path / KEY_FILE).read_text(encoding="latin-1") == content


def test_a_store_that_cannot_keep_a_key_is_refused(tmp_path):
    with pytest.raises(PseudonymError):
        store_pseudonyms(tmp_path / "absent")
