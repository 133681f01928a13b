"""The list as its page shows it: a line for each patient, and what stands around the lines."""

from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlencode

from fhir_mappings.records.instants import as_datetime
from service.cards.wording import percent
from service.care_pages.asked import AFTER, CALLS, Asked, address_of
from service.care_pages.filter_form import FilterForm, filter_form
from service.care_pages.reading import MorningRead
from service.care_pages.words import (
    STATUS_WORDS,
    moment_words,
    overdue_words,
    person_words,
    since_words,
)
from service.database.saved_filters import SavedFilter
from service.identity.caller import Caller
from service.work_list.capacity import Capacity
from service.work_list.read import Listed
from service.work_list.wanted import STATUSES

OLD: Final = timedelta(days=1)
"""A list that is older misses at least one night's discharges and returns."""

TO_CALL: Final = tuple(one for one in STATUSES if one not in ("declined", "closed"))
"""Whom the box of the calls asks for where no status was chosen."""

USUAL_CALLS: Final = 20


class Line(NamedTuple):
    """One patient, in words."""

    patient: str
    who: str
    """Age and sex."""
    risk_page: str
    follow_up: str
    left: str
    between: str
    """The interval of the risk that is left; empty where there is none."""
    band: str
    unit: str
    since: str
    reasons: str
    status: str
    assigned_to: str
    due_on: str
    overdue: str


class Share(NamedTuple):
    """A group's share of the calls beside its share of the need."""

    attribute: str
    group: str
    patients: int
    calls: int
    of_calls: str
    of_need: str


class Reached(NamedTuple):
    """What so many calls reach, in words."""

    calls: int
    asked: int
    expected: str
    low: int
    high: int
    on_the_list: str
    next_adds: str
    shares: tuple[Share, ...]


class ListPage(NamedTuple):
    """The whole page."""

    lines: tuple[Line, ...]
    total: int
    as_of: str
    """Empty before the first batch run."""
    old: str
    """How old the list is, where that is too old."""
    form: FilterForm
    saved_filters: tuple[tuple[SavedFilter, str], ...]
    """Each with its address."""
    query: str
    table: str
    next: str
    first: str
    """The address of the beginning, where this is not it."""
    whole: str
    """The address of the list without the calls."""
    reached: Reached | None
    calls: int
    carried: tuple[tuple[str, str], ...]
    """What the box of the calls sends along."""
    printed_by: str
    printed_at: str
    saved: bool


def list_page(
    read: MorningRead, asked: Asked, caller: Caller, *, simulated: bool, saved: bool
) -> ListPage:
    """Say what was read.

    Args:
        read: what was read for the caller.
        asked: what they asked for.
        caller: who they are.
        simulated: whether the patients are a simulated hospital's.
        saved: whether they come from having saved something.
    """
    now = datetime.now(UTC)
    moment = None if read.as_of is None else as_datetime(read.as_of)
    after = {AFTER: read.next} if read.next else {}
    filters = asked._replace(calls=None).query
    return ListPage(
        lines=tuple(_line(one, caller, now.date(), asked.query) for one in read.patients),
        total=read.total,
        as_of="" if moment is None else moment_words(moment),
        # Simulated records end in the past: a list of them is as old as they are.
        old="" if simulated or moment is None or now - moment <= OLD else _age(now - moment),
        form=filter_form(asked, caller, read.units, read.conditions),
        saved_filters=tuple((one, address_of(one.query)) for one in read.saved),
        query=asked.query,
        table=f"/v1/worklist.csv?{asked.filters}" if asked.filters else "/v1/worklist.csv",
        next=address_of("&".join(filter(None, (filters, urlencode(after))))) if after else "",
        first=address_of(filters) if asked.after else "",
        whole=address_of(filters),
        reached=None if read.capacity is None else _reached(read.capacity, asked),
        calls=asked.calls or USUAL_CALLS,
        carried=tuple(_carried(asked)),
        printed_by=caller.name or caller.subject,
        printed_at=moment_words(now),
        saved=saved,
    )


def _line(listed: Listed, caller: Caller, today: date, query: str) -> Line:
    due_on = None if listed.due_on is None else date.fromisoformat(listed.due_on)
    back = f"?{urlencode({'back': query})}" if query else ""
    return Line(
        patient=listed.patient,
        who=person_in_short(listed),
        risk_page=f"/risk/{listed.score_id}",
        follow_up=f"/follow-up/{listed.stay}{back}",
        left=percent(listed.remaining),
        between=between(listed),
        band=listed.band,
        unit=listed.unit or "unit not on record",
        since=since_words(listed.days_since_discharge),
        reasons="; ".join(listed.reasons) or "nothing that raises it",
        status=STATUS_WORDS[listed.status],
        assigned_to=person_words(listed.assigned_to, caller),
        due_on=listed.due_on or "",
        overdue=overdue_words(due_on, listed.status, today),
    )


def person_in_short(listed: Listed) -> str:
    """Age and sex, as far as they are on record."""
    age = None if listed.age is None else f"{listed.age} years"
    return ", ".join(part for part in (age, listed.sex) if part) or "age and sex not on record"


def between(listed: Listed) -> str:
    """The interval of the risk that is left; empty where it has none, or is one figure."""
    if listed.remaining_low is None or listed.remaining_high is None:
        return ""
    low, high = percent(listed.remaining_low), percent(listed.remaining_high)
    return "" if low == high else f"{low.removesuffix(' %')} to {high}"


def _reached(capacity: Capacity, asked: Asked) -> Reached:
    return Reached(
        calls=capacity.calls,
        asked=asked.calls or capacity.calls,
        expected=f"{capacity.expected:.1f}",
        low=capacity.expected_low,
        high=capacity.expected_high,
        on_the_list=f"{capacity.on_the_list:.1f}",
        next_adds="" if capacity.next_adds is None else f"{capacity.next_adds:.2f}",
        shares=tuple(
            Share(
                attribute=one.attribute.replace("_", " "),
                group=one.group,
                patients=one.patients,
                calls=one.calls,
                of_calls=f"{one.share_of_calls:.0%}".replace("%", " %"),
                of_need=f"{one.share_of_need:.0%}".replace("%", " %"),
            )
            for one in capacity.groups
        ),
    )


def _carried(asked: Asked) -> list[tuple[str, str]]:
    """The filters as hidden fields; nobody calls whom nobody means to call any more."""
    given = {name: values for name, values in asked.given.items() if name not in ("sort", CALLS)}
    given.setdefault("status", list(TO_CALL))
    return [(name, value) for name, values in given.items() for value in values]


def _age(since: timedelta) -> str:
    return f"{since.days} days" if since.days > 1 else f"{since // timedelta(hours=1)} hours"
