"""One follow-up as its page shows it: what is known, how it stands, what was done, what to do."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlencode

from fhir_mappings.errors import UnprocessableError
from fhir_mappings.records.instants import from_datetime
from service.cards.wording import percent
from service.care_pages.asked import address_of, parse_query
from service.care_pages.follow_up_form import (
    AS_IT_IS,
    Option,
    OptionGroup,
    Typed,
    people_options,
    status_choice_words,
    status_groups,
)
from service.care_pages.list_page import between, person_in_short
from service.care_pages.words import (
    STATUS_WORDS,
    moment_words,
    overdue_words,
    person_words,
    since_words,
)
from service.database import follow_ups
from service.follow_ups.follow_up import FollowUp, FollowUpChange
from service.follow_ups.keep import Whole, read_whole
from service.follow_ups.statuses import REASONS
from service.identity.caller import Caller
from service.keeping import Keeping
from service.work_list.read import Listed, listed_stay
from service.work_list.wanted import ME, NOBODY

REMEMBERED: Final = timedelta(days=90)
"""Who has worked the list within these days is offered when a patient is handed over."""

FIELD_WORDS: Final = {
    "status": "Status",
    "reason": "Status",
    "due_on": "Due",
    "assigned_to": "Assigned to",
    "note": "Note",
}


class FollowUpRead(NamedTuple):
    """What was read for one look at a follow-up."""

    whole: Whole
    listed: Listed | None
    """None where the stay is not on the list any more."""
    people: Sequence[str]


class Known(NamedTuple):
    """What is known of the patient, in short."""

    who: str
    left: str
    between: str
    band: str
    at_discharge: str
    unit: str
    since: str
    condition: str
    reasons: tuple[str, ...]
    changeable: tuple[str, ...]
    missing: int


class Done(NamedTuple):
    """One change, in words."""

    at: str
    by: str
    what: tuple[str, ...]
    note: str


class Difference(NamedTuple):
    """One thing as it is now beside what somebody wanted of it."""

    name: str
    now: str
    typed: str


class Form(NamedTuple):
    """The form with what is in it."""

    version: int
    statuses: tuple[OptionGroup, ...]
    people: tuple[Option, ...]
    due_seen: str
    due_on: str
    person: str
    note: str


class FollowUpPage(NamedTuple):
    """The whole page."""

    stay: str
    patient: str
    risk_page: str
    """Empty where no score is known any more."""
    known: Known | None
    status: str
    assigned_to: str
    due_on: str
    overdue: str
    changed: str
    done: tuple[Done, ...]
    form: Form | None
    """None for who may read and not change it."""
    back: str
    """The query of the list that they come from."""
    list_address: str
    saved: bool
    fault: str
    differences: tuple[Difference, ...]
    """Where somebody else was first."""


def read_follow_up(
    keeping: Keeping, caller: Caller, stay: str, *, opted_out: Collection[str], route: str
) -> FollowUpRead:
    """Read a follow-up with its history and what the list says; the audit has it before.

    Args and errors as for ``service.follow_ups.keep.read_whole``.
    """
    whole = read_whole(keeping, caller, stay, opted_out=opted_out, route=route)
    since = from_datetime(datetime.now(UTC) - REMEMBERED)
    with keeping.database.reading() as connection:
        listed = listed_stay(connection, keeping.keys, stay)
        people = follow_ups.people(connection, since)
    return FollowUpRead(whole, listed, people)


def follow_up_page(
    read: FollowUpRead,
    caller: Caller,
    *,
    back: str,
    typed: Typed | None = None,
    fault: str = "",
    conflict: bool = False,
    saved: bool = False,
) -> FollowUpPage:
    """Say what was read.

    Args:
        read: what was read for the caller.
        caller: who they are.
        back: the query of the list that they come from.
        typed: what they sent, where it was not saved.
        fault: why not.
        conflict: whether it was because somebody else was first.
        saved: whether they come from having saved something.
    """
    present, changes = read.whole
    back = checked_query(back, caller)
    return FollowUpPage(
        stay=present.stay,
        patient=present.patient,
        risk_page="" if present.score_id is None else f"/risk/{present.score_id}",
        known=None if read.listed is None else _known(read.listed),
        status=STATUS_WORDS[present.status],
        assigned_to=person_words(present.assigned_to, caller),
        due_on=_day(present.due_on),
        overdue=overdue_words(present.due_on, present.status, datetime.now(UTC).date()),
        changed=_changed(present, caller),
        done=tuple(reversed(_history(changes, caller))),
        form=_form(read, caller, typed, conflict=conflict) if caller.may("Task", "u") else None,
        back=back,
        list_address=address_of(back),
        saved=saved,
        fault=fault_words(fault),
        differences=()
        if typed is None or not conflict
        else tuple(_differences(present, typed, caller)),
    )


def checked_query(query: str, caller: Caller) -> str:
    """The query of a list to go back to; of the whole list where it is none."""
    try:
        return parse_query(query, caller).query
    except UnprocessableError:
        return ""


def fault_words(fault: str) -> str:
    """What is wrong, with the field by the name that it has on the page."""
    field, _, what = fault.partition(": ")
    return f"{FIELD_WORDS[field]}: {what}." if field in FIELD_WORDS else fault


def page_address(stay: str, back: str) -> str:
    """Where a follow-up's page is after something was saved."""
    return f"/follow-up/{stay}?{urlencode({'saved': 1, **({'back': back} if back else {})})}"


def _known(listed: Listed) -> Known:
    return Known(
        who=person_in_short(listed),
        left=percent(listed.remaining),
        between=between(listed),
        band=listed.band,
        at_discharge=percent(listed.probability),
        unit=listed.unit or "not on record",
        since=since_words(listed.days_since_discharge),
        condition=listed.condition or "not on record",
        reasons=listed.reasons,
        changeable=listed.changeable,
        missing=listed.missing,
    )


def _changed(present: FollowUp, caller: Caller) -> str:
    if present.changed_at is None:
        return ""
    by = person_words(present.changed_by, caller)
    return f"by {by}, {moment_words(present.changed_at)}"


def _history(changes: Sequence[FollowUpChange], caller: Caller) -> list[Done]:
    found = []
    before: FollowUpChange | None = None
    for change in changes:
        found.append(
            Done(
                at=moment_words(change.at),
                by=person_words(change.by, caller),
                what=tuple(_what(before, change, caller)),
                note=change.note or "",
            )
        )
        before = change
    return found


def _what(before: FollowUpChange | None, after: FollowUpChange, caller: Caller) -> list[str]:
    status = "new" if before is None else before.status
    said = []
    if after.status != status:
        because = "" if after.reason is None else f" ({REASONS[after.reason].lower()})"
        said.append(f"{STATUS_WORDS[after.status]}{because}")
    if after.assigned_to != (None if before is None else before.assigned_to):
        said.append(f"assigned to {person_words(after.assigned_to, caller)}")
    if after.due_on != (None if before is None else before.due_on):
        said.append("no due date" if after.due_on is None else f"due {after.due_on}")
    return said


def _form(read: FollowUpRead, caller: Caller, typed: Typed | None, *, conflict: bool) -> Form:
    present = read.whole.present
    due = _day(present.due_on)
    sent = typed or Typed(version=present.version, due_seen=due, due_on=due)
    # Who came second goes on from what it is now. Anything else that was not saved stays a change
    # of the version that was seen: if that is not the present one, they are still to be told.
    version, due_seen = (present.version, due) if conflict else (sent.version, sent.due_seen)
    return Form(
        version=version,
        statuses=status_groups(present.status, sent.status),
        people=people_options(present, read.people, caller, sent.assigned_to),
        due_seen=due_seen,
        due_on=sent.due_on if sent.due_was_changed else due_seen,
        person=sent.person,
        note=sent.note,
    )


def _differences(present: FollowUp, typed: Typed, caller: Caller) -> list[Difference]:
    wanted = {ME: "you", NOBODY: "nobody", AS_IT_IS: "left as it was"}.get(
        typed.assigned_to, person_words(typed.assigned_to, caller)
    )
    return [
        Difference(
            "Status",
            STATUS_WORDS[present.status],
            status_choice_words(typed.status) if typed.status else "left as it was",
        ),
        Difference(
            "Assigned to", person_words(present.assigned_to, caller), typed.person or wanted
        ),
        Difference(
            "Due",
            _day(present.due_on) or "no date",
            (typed.due_on or "no date") if typed.due_was_changed else "left as it was",
        ),
        Difference("Note", "see what was done, below", typed.note or "none"),
    ]


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()
