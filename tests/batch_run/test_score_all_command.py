"""``readmit score --all`` as a scheduler calls it: its answer and its exit codes."""

import json
import os
import sys
from collections.abc import Callable

import pytest
from each_database import on_sqlite_alone
from records import clock, patient
from ward import Ward, full_ward, stay

from service.cli import main
from service.database.run_lock import run_lock

pytestmark = [pytest.mark.usefixtures("each_database"), on_sqlite_alone]

Called = tuple[int, str, str]


@pytest.fixture
def ward(ward_of: Callable[..., Ward]) -> Ward:
    return ward_of(*full_ward(), patient("kit", birthDate="2015-01-01"), *stay("k1", "kit", 20, 30))


@pytest.fixture
def score_all(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Called]:
    """The command in this process: its exit code and what it wrote."""
    for name in [name for name in os.environ if name.startswith("READMIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("READMIT_DATABASE", ward.database_url)
    monkeypatch.setenv("READMIT_KEY_FILE", str(ward.folder / "keys"))
    monkeypatch.setenv("READMIT_AUDIT_ANCHOR", str(ward.folder / "anchor"))
    folders = ["--store", str(ward.store), "--model", str(ward.folder / "model")]

    def call(*arguments: str) -> Called:
        monkeypatch.setattr(sys, "argv", ["readmit", "score", "--all", *folders, *arguments])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return code, *capfd.readouterr()

    return call


def test_it_says_what_was_scored_and_what_not_and_ends_with_0(
    score_all: Callable[..., Called], ward: Ward
) -> None:
    code, out, err = score_all("--as-of", clock(40), "--processes", "1", "--json")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert (said["patients"], said["scored"], said["listed"]) == (31, 30, 30)
    assert (said["not_scored"], said["left"]) == ({"child": 1}, {})
    assert len(ward.listed()) == 30
    code, out, _ = score_all("--as-of", clock(40), "--json")
    assert (code, json.loads(out)["nothing_to_do"]) == (0, True)


def test_the_end_of_the_records_is_a_moment_for_people_too(
    score_all: Callable[..., Called], ward: Ward
) -> None:
    code, out, _ = score_all("--as-of", "end-of-data")
    assert code == 0
    assert "on the list" in out
    assert "not scored: child" in out
    assert ward.listed()


def test_another_run_under_way_is_exit_code_11_and_nothing_is_written(
    score_all: Callable[..., Called], ward: Ward
) -> None:
    with ward.keeping() as keeping, run_lock(keeping.database):
        code, out, err = score_all("--as-of", clock(40), "--json")
    assert (code, out) == (11, "")
    assert "under way" in err
    assert ward.rows() == {}


def test_a_moment_that_is_none_is_refused_before_anything_is_done(
    score_all: Callable[..., Called], ward: Ward
) -> None:
    code, out, err = score_all("--as-of", "yesterday")
    assert (code, out) == (2, "")
    assert err.startswith("readmit: --as-of: ")
    assert ward.rows() == {}
