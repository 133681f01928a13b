"""``readmit events``: the operator sees what waits and what was given up, and tries it again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_ehr import EHR, counting_ehr
from event_path import Hospital, settings_of
from typer.testing import CliRunner

from service.cli import app

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def ehr() -> Iterator[EHR]:
    with counting_ehr() as server:
        yield server


@pytest.fixture
def hospital(tmp_path: Path, ehr: EHR, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    settings = settings_of(tmp_path, ehr.base)
    monkeypatch.chdir(tmp_path)
    for name in ("database", "key_file", "issuers", "opt_out", "audit_anchor"):
        if (value := getattr(settings, name)) is not None:
            monkeypatch.setenv(f"READMIT_{name.upper()}", str(value))
    made = Hospital(settings, ehr)
    made.admit("adam")
    return made


def said(*command: str) -> Any:
    done = CliRunner().invoke(app, ["events", *command, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_was_given_up_is_shown_and_tried_again(hospital: Hospital, ehr: EHR) -> None:
    ehr.answers = [("PUT", 422, {})] * 3
    hospital.tell({1: "adam"})
    by_table = {one["table"]: one for one in said("status")["groups"]}
    assert by_table["received_events"]["state"] == "done"
    outbox = by_table["outbox"]
    assert (outbox["state"], outbox["problem"], outbox["rows"]) == ("failed", "answered 422", 3)
    assert said("retry") == {"events": 0, "resources": 3}
    by_table = {one["table"]: one for one in said("work")["groups"]}
    assert (by_table["outbox"]["state"], by_table["outbox"]["rows"]) == ("delivered", 3)
    assert ehr.versions("Flag") == [1]


def test_without_a_model_events_wait_and_are_not_lost(hospital: Hospital) -> None:
    hospital.receive(hospital.told({1: "adam"}))
    (group,) = said("work")["groups"]
    assert (group["state"], group["problem"], group["rows"]) == ("waiting", "no_model", 1)


def test_it_is_readable_by_people(hospital: Hospital) -> None:
    hospital.tell({1: "adam"})
    done = CliRunner().invoke(app, ["events", "status"])
    assert done.exit_code == 0
    assert "delivered" in done.output
    assert "adam" not in done.output
