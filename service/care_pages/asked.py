"""What the page of the list is asked, and how it is asked for again: as a query in an address."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from fhir_mappings.errors import UnprocessableError
from service.identity.caller import Caller
from service.work_list.capacity import MOST_CALLS
from service.work_list.wanted import PARAMETERS, Wanted, parse_wanted

LIST: Final = "/work-list"

CALLS: Final = "calls"
AFTER: Final = "after"
SAVED: Final = "saved"

LONGEST_QUERY: Final = 4_000
_NUMBER: Final = re.compile("[0-9]{1,3}")
_ORDER: Final = tuple(one.name for one in PARAMETERS)


class Asked(NamedTuple):
    """What the list is asked for."""

    wanted: Wanted
    given: dict[str, list[str]]
    """The filters and the order as they were asked for, without what was left empty."""
    calls: int | None = None
    """How many can be called; None for the list itself."""
    after: str | None = None

    def one(self, name: str) -> str:
        """The value of a filter that takes one; empty where it narrows nothing."""
        return self.given.get(name, [""])[0]

    @property
    def filters(self) -> str:
        """The query of the filters and the order alone, as the table of the list takes it."""
        return urlencode([(name, value) for name in _ORDER for value in self.given.get(name, [])])

    @property
    def query(self) -> str:
        """The query that asks for the same again, from its beginning."""
        calls = urlencode({CALLS: self.calls}) if self.calls is not None else ""
        return "&".join(part for part in (self.filters, calls) if part)


def parse_asked(sent: Sequence[tuple[str, str]], caller: Caller) -> Asked:
    """Read what the page is asked.

    Args:
        sent: names and values, as they came.
        caller: who ``me`` is.

    Raises:
        UnprocessableError: naming what cannot be asked; no value is quoted.
    """
    own = {name: value for name, value in sent if name in (CALLS, AFTER, SAVED)}
    others = [one for one in sent if one[0] not in (CALLS, AFTER, SAVED)]
    wanted = parse_wanted(others, caller)
    given: dict[str, list[str]] = {}
    for name, value in others:
        if value and value not in given.setdefault(name, []):
            given[name].append(value)
    calls = own.get(CALLS) or None
    if calls is not None and not (_NUMBER.fullmatch(calls) and 1 <= int(calls) <= MOST_CALLS):
        raise UnprocessableError(f"{CALLS}: a whole number from 1 to {MOST_CALLS}")
    return Asked(
        wanted,
        {name: values for name, values in given.items() if values},
        None if calls is None else int(calls),
        own.get(AFTER) or None,
    )


def parse_query(query: str, caller: Caller) -> Asked:
    """Read a query that was kept, or that a form brings back.

    Raises:
        UnprocessableError: as ``parse_asked``, or if it is no query.
    """
    if len(query) > LONGEST_QUERY:
        raise UnprocessableError("the query is too long")
    try:
        sent = parse_qsl(query, max_num_fields=256)
    except ValueError:
        raise UnprocessableError("the query cannot be read") from None
    return parse_asked(sent, caller)


def address_of(query: str, *, saved: bool = False) -> str:
    """The address of the list that a query asks for."""
    parts = [part for part in (query, f"{SAVED}=1" if saved else "") if part]
    return f"{LIST}?{'&'.join(parts)}" if parts else LIST
