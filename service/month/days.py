"""Months by their names."""

from calendar import monthrange
from datetime import UTC, date, datetime
from typing import Final

from fhir_mappings.errors import ReadmitError

PATTERN: Final = r"^\d{4}-(0[1-9]|1[0-2])$"
"""How a month is written in a query: as ISO 8601 does, ``2026-03``."""


class MonthError(ReadmitError):
    """A month is written otherwise, lies ahead, or is not on record."""

    status = 422
    exit_code = 2
    title = "Month"


def days_of(month: str) -> tuple[date, date]:
    """The first and the last day of a month.

    Raises:
        MonthError: if it is none.
    """
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise MonthError("a month is written as 2026-03") from None
    return first, first.replace(day=monthrange(first.year, first.month)[1])
