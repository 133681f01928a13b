"""What the list may be asked: its filters, declared once, for the API, the pages and assistants."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from fhir_mappings.errors import UnprocessableError
from fhir_mappings.records.instants import from_datetime
from service.database.work_list_search import Filters, Place, Sort
from service.follow_ups.follow_up import person_of
from service.follow_ups.statuses import Status
from service.identity.caller import Caller

Band = Literal["low", "moderate", "high"]

SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
BANDS: Final[tuple[Band, ...]] = get_args(Band)
STATUSES: Final = tuple(status.value for status in Status)

ME: Final = "me"
NOBODY: Final = "nobody"
_LONGEST: Final = 256
_MOST_VALUES: Final = 50


class Parameter(NamedTuple):
    """One thing that the list may be asked."""

    name: str
    documentation: str
    example: str
    repeated: bool = False
    values: tuple[str, ...] = ()
    """The closed list of what it may be; empty where it is free."""


PARAMETERS: Final = (
    Parameter("unit", "The stay's unit, as the records name it.", "Cardiology", repeated=True),
    Parameter("band", "The band of the risk at discharge.", "high", True, BANDS),
    Parameter("condition", "The group of the main diagnosis.", "Heart failure", repeated=True),
    Parameter("status", "How far the stay has been worked.", "new", True, STATUSES),
    Parameter(
        "assigned_to", "`me`, `nobody`, or a person as the list names them.", ME, repeated=False
    ),
    Parameter(
        "in_hospital",
        "Only those still in hospital, or only those discharged.",
        "false",
        values=("true", "false"),
    ),
    Parameter("discharged_from", "Discharged on this day (UTC) or later.", "2026-03-01"),
    Parameter("discharged_to", "Discharged on this day (UTC) or before.", "2026-03-31"),
    Parameter(
        "sort",
        "`remaining` risk (the order without it), `risk` at discharge, `discharged` (the latest "
        "first) or `due` (the earliest first).",
        "remaining",
        values=SORTS,
    ),
)
"""Every filter, and the order."""

_BY_NAME: Final = {one.name: one for one in PARAMETERS}


class Wanted(NamedTuple):
    """Which patients are wanted, in which order."""

    filters: Filters
    sort: Sort = "remaining"


def parse_wanted(asked: Sequence[tuple[str, str]], caller: Caller) -> Wanted:
    """Read what the list is asked; an empty value is as if it were not there, as forms send it.

    Args:
        asked: names and values, as they came.
        caller: who ``me`` is.

    Raises:
        UnprocessableError: naming a parameter that is not one of the list's, comes twice or has a
            value that it cannot have. No value is quoted.
    """
    given: dict[str, list[str]] = {}
    for name, value in asked:
        parameter = _BY_NAME.get(name)
        if parameter is None:
            raise UnprocessableError("a query parameter is none of the list's")
        if not value:
            continue
        if len(value) > _LONGEST or "\0" in value:
            raise UnprocessableError(f"{name}: too long, or no text")
        if parameter.values and value not in parameter.values:
            raise UnprocessableError(f"{name}: one of {', '.join(parameter.values)}")
        held = given.setdefault(name, [])
        if held and not parameter.repeated:
            raise UnprocessableError(f"{name}: is given twice")
        if len(held) == _MOST_VALUES:
            raise UnprocessableError(f"{name}: is given more than {_MOST_VALUES} times")
        held.append(value)
    one = {name: values[0] for name, values in given.items()}
    assigned = one.get("assigned_to")
    return Wanted(
        Filters(
            units=tuple(given.get("unit", ())),
            bands=tuple(given.get("band", ())),
            conditions=tuple(given.get("condition", ())),
            statuses=tuple(given.get("status", ())),
            assigned_to=person_of(caller) if assigned == ME else _unless(NOBODY, assigned),
            unassigned=assigned == NOBODY,
            in_hospital=None if "in_hospital" not in one else one["in_hospital"] == "true",
            discharged_from=_day(one, "discharged_from", timedelta()),
            discharged_before=_day(one, "discharged_to", timedelta(days=1)),
        ),
        one.get("sort", "remaining"),  # type: ignore[arg-type]  # of the closed list, above
    )


def cursor(sort: Sort, place: Place) -> str:
    """Where the next page begins, as a caller sends it back."""
    return base64.urlsafe_b64encode(msgspec.json.encode((sort, *place))).decode().rstrip("=")


def parse_cursor(text: str, sort: Sort) -> Place:
    """The place that a cursor names.

    Raises:
        UnprocessableError: if it is none of ours, or of a list in another order.
    """
    kind: Any = {"remaining": float, "risk": float, "discharged": int, "due": str}[sort]
    try:
        decoded = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        of, value, stay = msgspec.json.decode(decoded, type=tuple[Sort, kind, str])
        if of != sort or "\0" in stay or (kind is str and "\0" in value):
            raise ValueError  # noqa: TRY301  the same answer as for what does not decode
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise UnprocessableError("after: not the `next` of this list in this order") from None
    return Place(value, stay)


def _unless(unwanted: str, value: str | None) -> str | None:
    return None if value == unwanted else value


def _day(given: dict[str, str], name: str, later: timedelta) -> int | None:
    if name not in given:
        return None
    try:
        day = date.fromisoformat(given[name])
        if not 1900 <= day.year < 3000 or len(given[name]) != len("2026-03-01"):
            raise ValueError  # noqa: TRY301  the same answer as for the 30th of February
    except ValueError:
        raise UnprocessableError(f"{name}: not a date, as 2026-03-01") from None
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC) + later)
