"""What the pages say of people, days and states: the same on the list and on a follow-up."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from service.follow_ups.follow_up import person_of
from service.follow_ups.statuses import Status
from service.identity.caller import Caller

STATUS_WORDS: Final[Mapping[str, str]] = {
    Status.NEW: "new",
    Status.CONTACTED: "contacted",
    Status.VISIT_BOOKED: "visit booked",
    Status.DECLINED: "declined",
    Status.CLOSED: "closed",
}
"""Every status as a line says it."""

ENDED: Final = frozenset({Status.DECLINED, Status.CLOSED})
"""Nothing is overdue that nobody means to do."""


def person_words(person: str | None, caller: Caller) -> str:
    """Somebody as whoever looks knows them: by their name at the issuer that both share."""
    if person is None:
        return "nobody"
    if person == person_of(caller):
        return "you"
    issuer, _, subject = person.partition("|")
    return subject if issuer == caller.issuer else f"{subject} ({issuer})"


def since_words(days: int | None) -> str:
    """How long ago somebody left; None while they are in hospital."""
    if days is None:
        return "in hospital"
    return "today" if days == 0 else _days(days)


def overdue_words(due_on: date | None, status: str, today: date) -> str:
    """What is to be said of a due date; nothing where it lies ahead, or nobody waits for it."""
    if due_on is None or status in ENDED or due_on > today:
        return ""
    return "due today" if due_on == today else f"overdue by {_days((today - due_on).days)}"


def moment_words(moment: datetime) -> str:
    """A moment as people read it. Times are kept in UTC."""
    return moment.strftime("%Y-%m-%d, %H:%M UTC")


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"
