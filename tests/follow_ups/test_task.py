"""A follow-up as a FHIR Task: valid, whole, and read back as what was changed in it."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.task import Task
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from worked_list import WorkedList

from service.follow_ups.follow_up import Change, FollowUp, FollowUpChange
from service.follow_ups.statuses import Reason, Status
from service.follow_ups.task import TASK_STATUS, TaskError, read_task, task_of

ME = "https://id.example.org|m.example"
OTHER = "https://id.example.org|n.example"
BEGAN = datetime(2026, 6, 1, 8, 30, 0, 123456, tzinfo=UTC)
STAY = "0123456789abcdef" * 4

Edit = Callable[[dict[str, Any]], object]


def story(*steps: dict[str, Any]) -> tuple[FollowUp, list[FollowUpChange]]:
    """A follow-up and its history, a step an hour."""
    known: dict[str, Any] = {"status": Status.NEW, "assigned_to": None, "due_on": None}
    told = []
    for number, step in enumerate(steps, 1):
        known |= {name: value for name, value in step.items() if name in known}
        told.append(
            FollowUpChange(
                version=number,
                at=BEGAN + timedelta(hours=number),
                by=ME,
                reason=step.get("reason"),
                note=step.get("note"),
                **known,
            )
        )
    present = FollowUp(stay=STAY, patient="example-1", score_id="a" * 32, **known)
    if told:
        present = msgspec.structs.replace(
            present, version=len(told), changed_at=told[-1].at, changed_by=ME
        )
    return present, told


STORIES = {
    "new": story(),
    "taken": story({"assigned_to": ME, "due_on": date(2026, 6, 9)}),
    "reached": story({"status": Status.CONTACTED, "note": "Weighs himself daily."}),
    "booked": story(
        {"status": Status.CONTACTED, "note": "No answer."},
        {"note": "No answer."},
        {"status": Status.VISIT_BOOKED, "assigned_to": ME, "due_on": date(2026, 6, 9)},
    ),
    "declined": story({"status": Status.DECLINED}),
    "closed": story(
        {"status": Status.CLOSED, "reason": Reason.READMITTED}, {"note": "Back since Friday."}
    ),
    "reopened": story(
        {"status": Status.CLOSED, "reason": Reason.COMPLETED},
        {"status": Status.CONTACTED, "reason": Reason.NEW_CONCERN},
    ),
}


def wanted(name: str, edit: Edit) -> Change:
    present, told = STORIES[name]
    task = json.loads(json.dumps(task_of(present, told)))
    edit(task)
    return read_task(json.dumps(task).encode(), present, told).change


def unchanged(_: dict[str, Any]) -> None:
    """As it was sent."""


@pytest.mark.parametrize("name", STORIES)
def test_every_follow_up_is_a_valid_task(name: str) -> None:
    present, told = STORIES[name]
    task = Task.model_validate(task_of(present, told))
    assert task.status == TASK_STATUS[present.status]
    assert task.businessStatus.coding[0].code == present.status
    assert task.for_fhir.reference == "Patient/example-1"
    assert task.focus.reference == f"RiskAssessment/{'a' * 32}"
    assert task.meta.versionId == str(len(told))


def test_the_task_says_who_until_when_and_why_it_ended() -> None:
    booked = task_of(*STORIES["booked"])
    assert booked["owner"]["identifier"] == {
        "system": "https://id.example.org",
        "value": "m.example",
    }
    assert booked["restriction"] == {"period": {"end": "2026-06-09"}}
    assert [note["text"] for note in booked["note"]] == ["No answer.", "No answer."]
    closed = task_of(*STORIES["closed"])
    assert closed["statusReason"]["coding"][0]["code"] == "readmitted"
    assert closed["executionPeriod"] == {
        "start": "2026-06-01T09:30:00.123456+00:00",
        "end": "2026-06-01T09:30:00.123456+00:00",
    }
    assert "end" not in task_of(*STORIES["reopened"])["executionPeriod"]
    assert "owner" not in task_of(*STORIES["new"])


@pytest.mark.parametrize("name", STORIES)
def test_a_task_that_comes_back_as_it_was_sent_wants_nothing(name: str) -> None:
    assert wanted(name, unchanged) == Change()
    present, told = STORIES[name]
    assert read_task(task_of(present, told), present, told).seen_version == present.version


@pytest.mark.parametrize(
    ("name", "edit", "change"),
    [
        ("new", {"status": "in-progress"}, Change(status=Status.CONTACTED)),
        ("taken", {"status": "rejected"}, Change(status=Status.DECLINED)),
        ("taken", {"owner": None}, Change(assigned_to=None)),
        ("taken", {"restriction": None}, Change(due_on=None)),
        (
            "new",
            {"restriction": {"period": {"end": "2026-06-12T09:00:00+02:00"}}},
            Change(due_on=date(2026, 6, 12)),
        ),
        (
            "reached",
            {"businessStatus": {"coding": [{"system": "urn:readmit:follow-up-status",
                                            "code": "visit_booked"}]}},
            Change(status=Status.VISIT_BOOKED),
        ),
        (
            "reached",
            {
                "status": "completed",
                "statusReason": {
                    "coding": [{"system": "urn:readmit:follow-up-reason", "code": "completed"}]
                },
            },
            Change(status=Status.CLOSED, reason=Reason.COMPLETED),
        ),
        ("reached", {"note": [{"text": "Called again."}]}, Change(note="Called again.")),
        ("reached", {"note": None}, Change()),
    ],
)  # fmt: skip
def test_what_an_ehr_changes_in_a_task_is_what_it_wants(
    name: str, edit: dict[str, Any], change: Change
) -> None:
    def edited(task: dict[str, Any]) -> None:
        for element, value in edit.items():
            if value is None:
                task.pop(element)
            else:
                task[element] = value

    assert wanted(name, edited) == change


def test_a_new_note_in_old_words_is_new_by_its_time() -> None:
    again = {"text": "No answer.", "time": "2026-06-02T10:00:00+02:00"}
    assert wanted("booked", lambda task: task["note"].append(again)).note == "No answer."


def test_who_takes_over_by_a_task_is_named_by_issuer_and_subject() -> None:
    issuer, _, subject = OTHER.partition("|")

    def hand_over(task: dict[str, Any]) -> None:
        task["owner"] = {"identifier": {"system": issuer, "value": subject}}
        task["note"] = [{"text": "Please go on."}]

    assert wanted("taken", hand_over) == Change(assigned_to=OTHER, note="Please go on.")


@pytest.mark.parametrize(
    ("edit", "element"),
    [
        ({"priority": "urgent"}, "Task.priority"),
        ({"extension": []}, "Task.extension"),
        ({"meta": {"profile": ["urn:x"]}}, "Task.meta.profile"),
        ({"restriction": {"repetitions": 3}}, "Task.restriction.repetitions"),
        ({"restriction": {"period": {"start": "2026-06-01"}}}, "Task.restriction.period.start"),
        ({"restriction": {"period": {"end": "Zebedee"}}}, "Task.restriction.period.end"),
        ({"for": {"reference": "Patient/Zebedee"}}, "Task.for"),
        ({"focus": {"reference": "RiskAssessment/Zebedee"}}, "Task.focus"),
        ({"id": "Zebedee"}, "Task.id"),
        ({"status": "Zebedee"}, "Task.status"),
        ({"status": "on-hold"}, "Task.status"),
        ({"intent": "Zebedee"}, "Task.intent"),
        ({"resourceType": "Zebedee"}, "Task.resourceType"),
        ({"owner": {"reference": "Practitioner/Zebedee"}}, "Task.owner.identifier"),
        ({"businessStatus": {"text": "Zebedee"}}, "Task.businessStatus"),
        (
            {"businessStatus": {"coding": [{"system": "urn:readmit:follow-up-status",
                                            "code": "declined"}]}},
            "Task.businessStatus",
        ),
        ({"status": "completed", "statusReason": {"text": "Zebedee"}}, "Task.statusReason"),
        ({"note": [{"text": "Zebedee"}, {"text": "Quillfeather"}]}, "Task.note"),
        ({"note": [{"text": "Zebedee", "time": "Zebedee"}]}, "Task.note.time"),
        ({"note": [{"text": "Zebedee", "time": "2026-06-01T10:00:00"}]}, "Task.note.time"),
        ({"note": [{"author": "Zebedee"}]}, "Task.note[0].author"),
        ({"meta": {"versionId": "Zebedee"}}, "Task.meta.versionId"),
        ({"Zebedee": "Zebedee"}, "Task"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_by_its_element_and_never_quoted(
    edit: dict[str, Any], element: str
) -> None:
    with pytest.raises(TaskError) as refused:
        wanted("taken", lambda task: task.update(edit))
    said = str(refused.value)
    assert said.startswith(element)
    assert "Zebedee" not in said
    assert "Quillfeather" not in said


@pytest.mark.parametrize("element", ["status", "intent"])
def test_what_a_task_must_have_is_asked_for_by_name(element: str) -> None:
    with pytest.raises(TaskError, match=f"Task.{element}: missing"):
        wanted("taken", lambda task: task.pop(element))


@given(st.one_of(st.binary(max_size=60), st.just(b"[" * 100_000)))
def test_what_is_no_task_is_refused_and_nothing_else_happens(body: bytes) -> None:
    present, told = STORIES["new"]
    with pytest.raises(TaskError):
        read_task(body, present, told)


def test_a_follow_up_goes_out_and_comes_back_through_the_database(worked: WorkedList) -> None:
    stay = worked.stay()
    worked.change(stay, 0, status=Status.CONTACTED, assigned_to=ME, note="Reached at noon.")
    task = task_of(worked.read(stay), worked.history(stay))
    Task.model_validate(task)
    task["status"] = "rejected"
    asked = read_task(task, worked.read(stay), worked.history(stay))
    assert asked.change.assigned_to is UNSET
    assert asked.seen_version == 1
    given_up = msgspec.structs.asdict(asked.change)
    assert worked.change(stay, asked.seen_version, **given_up).status is Status.DECLINED
