"""Reading what the page of the list shows: the patients with their entries, and what is around."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from service.care_pages.asked import Asked
from service.database import saved_filters, work_list_search
from service.database.saved_filters import SavedFilter
from service.database.work_list_search import Filters
from service.follow_ups.follow_up import person_of
from service.identity.caller import Caller
from service.keeping import Keeping
from service.work_list.capacity import Capacity, read_capacity
from service.work_list.read import Listed, reaching, read_page
from service.work_list.wanted import parse_cursor

LINES: Final = 50
"""Patients on a page: each of them is an entry in the audit."""


class MorningRead(NamedTuple):
    """What was read for one look at the list."""

    patients: Sequence[Listed]
    total: int
    next: str | None
    capacity: Capacity | None
    """Whom to call, where that was asked; they are the patients then."""
    as_of: int | None
    units: Sequence[str]
    conditions: Sequence[str]
    saved: Sequence[SavedFilter]


def read_morning(
    keeping: Keeping, caller: Caller, asked: Asked, *, opted_out: Collection[str], route: str
) -> MorningRead:
    """Read a page of the list, or whom to call of it; the audit has each patient before.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for the list is checked already.
        asked: for what.
        opted_out: the patients on the site's list.
        route: the template of the path.

    Raises:
        ForbiddenError: if the caller's access is for one patient alone.
        UnprocessableError: if the place to go on from is none of this list's.
        DatabaseError: if the list cannot be read, or entered in the audit.
    """
    wanted = asked.wanted
    within = reaching(caller, wanted.filters)
    with keeping.database.reading() as connection:
        total = work_list_search.count(connection, within)
        as_of = work_list_search.listed_as_of(connection)
        offered = work_list_search.choices(connection, reaching(caller, Filters()))
        saved = saved_filters.of_owner(connection, person_of(caller))
    around = (as_of, offered["units"], offered["conditions"], saved)
    if asked.calls is not None:
        capacity = read_capacity(
            keeping, caller, wanted, asked.calls, opted_out=opted_out, route=route
        )
        return MorningRead(capacity.chosen, total, None, capacity, *around)
    page = read_page(
        keeping,
        caller,
        wanted,
        opted_out=opted_out,
        after=None if asked.after is None else parse_cursor(asked.after, wanted.sort),
        limit=LINES,
        route=route,
    )
    return MorningRead(page.patients, page.total, page.next, None, *around)
