"""A follow-up as a FHIR Task, and what an EHR wants of it by one.

Sources: FHIR R4 Task. Its state machine knows less than ours: a visit that is booked is
``in-progress`` there as a patient who was reached is, and ``businessStatus`` tells the two apart.
Plain functions: what identifies the caller, and If-Match, are the route's.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fhir_mappings.errors import ReadmitError
from service.follow_ups.follow_up import Change, FollowUp, FollowUpChange
from service.follow_ups.statuses import REASONS, Reason, Status

STATUS_SYSTEM: Final = "urn:readmit:follow-up-status"
REASON_SYSTEM: Final = "urn:readmit:follow-up-reason"
CODE: Final = {
    "coding": [
        {
            "system": "urn:readmit:task",
            "code": "follow-up-after-discharge",
            "display": "Follow-up after discharge",
        }
    ]
}

TASK_STATUS: Final[Mapping[Status, str]] = {
    Status.NEW: "requested",
    Status.CONTACTED: "in-progress",
    Status.VISIT_BOOKED: "in-progress",
    Status.DECLINED: "rejected",
    Status.CLOSED: "completed",
}
"""Task.status of each of ours."""

MEANT: Final[Mapping[str, Status]] = {
    "requested": Status.NEW,
    "in-progress": Status.CONTACTED,
    "rejected": Status.DECLINED,
    "completed": Status.CLOSED,
}
"""What a Task.status without a businessStatus means, where it is not what it was."""

DISPLAY: Final[Mapping[Status, str]] = {
    Status.NEW: "New",
    Status.CONTACTED: "Contacted",
    Status.VISIT_BOOKED: "Visit booked",
    Status.DECLINED: "Declined",
    Status.CLOSED: "Closed",
}


_PLACE: Final = re.compile(r" - at `\$([\w.\[\]]*)`$")
_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_UNKNOWN: Final = re.compile(r"unknown field `([a-z][A-Za-z]{0,39})`")
"""Named where it looks like an element of FHIR; another may be anything that somebody typed."""


class TaskError(ReadmitError):
    """A Task that says what this service cannot follow. Elements are named, values not quoted."""

    status = 422
    title = "Not a Task that can be followed"


class Wanted(NamedTuple):
    """What a Task asks for."""

    change: Change
    seen_version: int | None
    """Of ``meta.versionId``; None where it has none, and If-Match must say."""


def task_of(present: FollowUp, history: Sequence[FollowUpChange]) -> dict[str, Any]:
    """A follow-up as a Task; its id is the stay's keyed name.

    Args:
        present: the follow-up.
        history: all its changes, the first one first; the notes among them go along.
    """
    task: dict[str, Any] = {
        "resourceType": "Task",
        "id": present.stay,
        "meta": {"versionId": str(present.version)},
        "status": TASK_STATUS[present.status],
        "businessStatus": _concept(STATUS_SYSTEM, present.status, DISPLAY[present.status]),
        "intent": "plan",
        "code": CODE,
        "for": {"reference": f"Patient/{present.patient}"},
    }
    if present.score_id is not None:
        task["focus"] = {"reference": f"RiskAssessment/{present.score_id}"}
    if present.assigned_to is not None:
        task["owner"] = _person(present.assigned_to)
    if present.due_on is not None:
        task["restriction"] = {"period": {"end": present.due_on.isoformat()}}
    if present.changed_at is not None:
        task["meta"]["lastUpdated"] = task["lastModified"] = _said(present.changed_at)
    if history:
        task["authoredOn"] = _said(history[0].at)
        task["executionPeriod"] = {"start": _said(history[0].at)}
        if history[-1].status is Status.CLOSED:
            task["executionPeriod"]["end"] = _said(_last_move(history).at)
    reason = None if not history else _last_move(history).reason
    if reason is not None:
        task["statusReason"] = _concept(REASON_SYSTEM, reason, REASONS[reason])
    notes = [_note(change) for change in history if change.note is not None]
    return {**task, "note": notes} if notes else task


def _last_move(history: Sequence[FollowUpChange]) -> FollowUpChange:
    """The change by which the status became what it is."""
    moves = [history[0]]
    for change in history[1:]:
        if change.status is not moves[-1].status:
            moves.append(change)
    return moves[-1]


def _note(change: FollowUpChange) -> dict[str, Any]:
    return {"authorReference": _person(change.by), "time": _said(change.at), "text": change.note}


def _person(name: str) -> dict[str, Any]:
    issuer, _, subject = name.partition("|")
    return {"type": "Practitioner", "identifier": {"system": issuer, "value": subject}}


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A part of a Task. What we do not know we would drop: it is refused instead."""


class _Coding(_Part, frozen=True):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class _Concept(_Part, frozen=True):
    coding: tuple[_Coding, ...] = ()
    text: str | None = None


class _Identifier(_Part, frozen=True):
    system: str | None = None
    value: str | None = None


class _Reference(_Part, frozen=True):
    reference: str | None = None
    type: str | None = None
    identifier: _Identifier | None = None
    display: str | None = None


class _Period(_Part, frozen=True):
    start: str | None = None
    end: str | None = None


class _Restriction(_Part, frozen=True):
    period: _Period | None = None


class _Note(_Part, frozen=True):
    text: str
    author_reference: _Reference | None = None
    author_string: str | None = None
    time: str | None = None


class _Meta(_Part, frozen=True):
    version_id: Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")] | None = None
    last_updated: str | None = None


class _Task(_Part, frozen=True):
    resource_type: Literal["Task"]
    status: str
    intent: Literal["plan"]
    id: str | None = None
    meta: _Meta | None = None
    status_reason: _Concept | None = None
    business_status: _Concept | None = None
    code: _Concept | None = None
    focus: _Reference | None = None
    for_: _Reference | None = msgspec.field(default=None, name="for")
    authored_on: str | None = None
    last_modified: str | None = None
    execution_period: _Period | None = None
    restriction: _Restriction | None = None
    owner: _Reference | None = None
    note: tuple[_Note, ...] = ()


def read_task(
    body: bytes | Mapping[str, Any], present: FollowUp, history: Sequence[FollowUpChange]
) -> Wanted:
    """What a Task wants of a follow-up: all in which it differs from it, with one note at most.

    As in FHIR's update, what is not there is taken away: no owner is nobody, no restriction is no
    due date. Notes are the exception: those that were written are never changed, so that leaving
    one out says nothing, and changing one is taken for a new one.

    Args:
        body: the Task, as JSON or decoded.
        present: the follow-up as it is.
        history: all its changes.

    Raises:
        TaskError: naming the element that is unknown, is about another stay, or cannot be followed.
    """
    task = _decoded(body)
    _check_same(task, present)
    period = task.restriction.period if task.restriction is not None else None
    if period is not None and period.start is not None:
        raise TaskError("Task.restriction.period.start: only an end can be kept")
    owner = None if task.owner is None else _named(task.owner)
    due_on = None if period is None or period.end is None else _day(period.end)
    status = _status(task, present)
    moved = status is not UNSET
    change = Change(
        status=status,
        assigned_to=owner if owner != present.assigned_to else UNSET,
        due_on=due_on if due_on != present.due_on else UNSET,
        reason=_reason(task.status_reason) if moved else None,
        note=_new_note(task.note, history),
    )
    version = None if task.meta is None else task.meta.version_id
    return Wanted(change, None if version is None else int(version))


def _decoded(body: bytes | Mapping[str, Any]) -> _Task:
    try:
        if isinstance(body, bytes):
            return msgspec.json.decode(body, type=_Task)
        return msgspec.convert(dict(body), type=_Task)
    except msgspec.ValidationError as error:
        raise TaskError(_at_fault(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TaskError("the body is not JSON") from None


def _at_fault(error: msgspec.ValidationError) -> str:
    """The element at fault, without what was found there."""
    said = str(error)
    place = _PLACE.search(said)
    where = "Task" if place is None else f"Task{place[1]}"
    if (unknown := _UNKNOWN.search(said)) is not None:
        return f"{where}.{unknown[1]}: not an element that can be followed here"
    if (missing := _MISSING.search(said)) is not None:
        return f"{where}.{missing[1]}: missing"
    return f"{where}: not as it must be, or an element that is not known"


def _check_same(task: _Task, present: FollowUp) -> None:
    """What a Task is about is not for its sender to change."""
    focus = None if present.score_id is None else f"RiskAssessment/{present.score_id}"
    same = {
        "id": task.id in (None, present.stay),
        "for": task.for_ is None or task.for_.reference == f"Patient/{present.patient}",
        "focus": task.focus is None or task.focus.reference == focus,
    }
    for element, holds in same.items():
        if not holds:
            raise TaskError(f"Task.{element}: of another follow-up")


def _status(task: _Task, present: FollowUp) -> Status | UnsetType:
    """The status that is wanted; UNSET where it is what it was."""
    if task.business_status is not None:
        code = _code(task.business_status, STATUS_SYSTEM)
        if code not in set(Status):
            raise TaskError("Task.businessStatus: none of this service's")
        wanted = Status(code)
        if TASK_STATUS[wanted] == task.status:
            return UNSET if wanted is present.status else wanted
        if wanted is not present.status:
            raise TaskError("Task.businessStatus: says otherwise than Task.status")
        # It was left as it was sent, by a program that knows Task.status alone.
    if task.status == TASK_STATUS[present.status]:
        return UNSET
    if task.status not in MEANT:
        raise TaskError(f"Task.status: one of {', '.join(MEANT)}")
    return MEANT[task.status]


def _reason(concept: _Concept | None) -> Reason | None:
    if concept is None:
        return None
    code = _code(concept, REASON_SYSTEM)
    if code not in set(Reason):
        raise TaskError("Task.statusReason: none of this service's")
    return Reason(code)


def _code(concept: _Concept, system: str) -> str | None:
    return next((one.code for one in concept.coding if one.system == system), None)


def _named(owner: _Reference) -> str:
    identifier = owner.identifier
    if identifier is None or not identifier.system or not identifier.value:
        raise TaskError("Task.owner.identifier: the issuer as system, the subject as value")
    return f"{identifier.system}|{identifier.value}"


def _day(text: str) -> date:
    try:
        # A date, or the day of a moment on its own clock.
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise TaskError("Task.restriction.period.end: no date") from None


def _new_note(notes: Sequence[_Note], history: Sequence[FollowUpChange]) -> str | None:
    known = {(change.note, change.at) for change in history if change.note is not None}
    new = [note.text for note in notes if (note.text, _moment(note.time)) not in known]
    if len(new) > 1:
        raise TaskError("Task.note: one new note at a time")
    return new[0] if new else None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TaskError("Task.note.time: no date and time") from None
    if moment.tzinfo is None:
        raise TaskError("Task.note.time: no offset")
    return moment
