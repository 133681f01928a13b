"""A follow-up as it is, what somebody wants of it, and what was done to it before."""

import re
from datetime import date, datetime
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fhir_mappings.errors import ReadmitError
from service.follow_ups.statuses import TRANSITIONS, Reason, Status
from service.identity.caller import Caller

_PERSON: Final = re.compile(r"[^|\s\x00-\x1f\x7f]+\|[^\x00-\x1f\x7f]+")
"""``issuer|subject``. An issuer is a URL, and has no bar in it."""

LONGEST_NOTE: Final = 4_000


class FollowUpChangeError(ReadmitError):
    """What is wanted of a follow-up cannot be done, now or ever. No note or name is quoted."""

    status = 422
    title = "The follow-up cannot be changed like this"


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stay has been worked."""

    stay: Annotated[str, Meta(description="The stay's keyed name, as the work list gives it.")]
    patient: Annotated[str, Meta(description="The Patient's id.")]
    status: Status = Status.NEW
    assigned_to: Annotated[str | None, Meta(description="`issuer|subject` of a person.")] = None
    due_on: date | None = None
    version: Annotated[
        int, Meta(description="How many changes there were; whoever changes it names this one.")
    ] = 0
    changed_at: Annotated[datetime | None, Meta(description="UTC.")] = None
    changed_by: Annotated[str | None, Meta(description="`issuer|subject`.")] = None
    score_id: Annotated[str | None, Meta(description="Of the score that the list shows.")] = None


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wants of a follow-up. What is left out stays as it is."""

    status: Status | UnsetType = UNSET
    assigned_to: Annotated[
        str | UnsetType | None, Meta(description="`issuer|subject`; null: nobody's.")
    ] = UNSET
    due_on: date | UnsetType | None = UNSET
    reason: Reason | None = None
    note: Annotated[str, Meta(max_length=LONGEST_NOTE)] | None = None


class FollowUpChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was made, and what the follow-up was afterwards."""

    version: int
    at: datetime
    by: str
    status: Status
    assigned_to: str | None
    due_on: date | None
    reason: Reason | None
    note: str | None


def person_of(caller: Caller) -> str:
    """Somebody as ``assigned_to`` names them."""
    return f"{caller.issuer}|{caller.subject}"


def changed(before: FollowUp, change: Change) -> FollowUp:
    """What a follow-up is after a change; version, time and author are not set yet.

    Raises:
        FollowUpChangeError: if it changes nothing, if there is no way from the one status to the
            other, if the reason is not one of that way's, if the person or the note is none, or if
            it is handed over without a word.
    """
    after = msgspec.structs.replace(
        before,
        **{
            name: value
            for name in ("status", "assigned_to", "due_on")
            if (value := getattr(change, name)) is not UNSET
        },
    )
    if change.note is not None and not (change.note.strip() and len(change.note) <= LONGEST_NOTE):
        raise FollowUpChangeError(f"note: 1 to {LONGEST_NOTE:,} characters")
    if after == before and change.note is None:
        raise FollowUpChangeError("nothing would be changed")
    _check_way(before.status, after.status, change.reason)
    _check_assignment(before.assigned_to, after.assigned_to, change.note)
    return after


def _check_way(before: Status, after: Status, reason: Reason | None) -> None:
    way = frozenset[Reason]() if before is after else TRANSITIONS.get((before, after))
    if way is None:
        raise FollowUpChangeError(f"status: from {before} there is no way to {after}")
    if (reason is not None or way) and reason not in way:
        named = ", ".join(sorted(way))
        raise FollowUpChangeError(f"reason: one of {named}" if way else "reason: none is wanted")


def _check_assignment(before: str | None, after: str | None, note: str | None) -> None:
    if after == before or after is None:
        return
    if len(after) > 1_000 or not _PERSON.fullmatch(after):
        raise FollowUpChangeError("assigned_to: issuer|subject of a person")
    if before is not None and note is None:
        raise FollowUpChangeError("note: whoever takes over must be told how it stands")
