"""Dates: to the year, or moved by whole weeks; and ages over 89, which no date may tell.

Of a patient whose record spans 90 years or more from birth to its latest date, the year of birth
becomes the latest year less 90, whatever it was: everybody of 90 or more looks alike, as HHS's
guidance has it (service in 2010: born "on or before 1920"). Any other date that lies further back
from the latest one would tell the age as well, and is dropped.
"""

from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from fhir_mappings.deidentification.measurements import POOLED_AGE
from fhir_mappings.records.instants import parse_instant

FURTHEST_AHEAD = 2
"""Years beyond the latest date of a record that a plan may reach."""


class Dates(StrEnum):
    """What becomes of dates. The names are what an operator types."""

    YEAR = "year"
    """As Safe Harbor asks. Nothing that happens within a year can be learned from it."""
    SHIFTED = "shifted-not-safe-harbor"
    """Each patient's by the same whole number of weeks: intervals, order, weekdays and times of day
    stay. Limited to who may receive a limited data set, or by an expert's determination."""


class Span(NamedTuple):
    """What a patient's record says of its own extent."""

    birth: date | None = None
    latest: date | None = None
    """The latest date by which something had happened."""

    def with_birth(self, birth: date) -> "Span":
        """Of several versions the earliest birth: it makes the oldest patient."""
        return self._replace(birth=birth if self.birth is None else min(birth, self.birth))

    def with_date(self, moment: date) -> "Span":
        """The span with one more date."""
        return self._replace(latest=moment if self.latest is None else max(moment, self.latest))


class Calendar(NamedTuple):
    """How the dates of one patient are told."""

    dates: Dates
    weeks: int
    span: Span

    def birth(self, text: object) -> tuple[str | None, bool]:
        """A birth date as it may be told, and whether it was pooled; None where it may not be."""
        born = day_of(text)
        if born is None or not isinstance(text, str):
            return None, False
        latest = self._told(self.span.latest or born)
        # A version of the record may have made the patient older: all of them are pooled then.
        oldest = self.span.birth or born
        for first, last in ((oldest, self.span.latest or oldest), (self._told(oldest), latest)):
            if last.year - first.year >= POOLED_AGE:
                return f"{latest.year - POOLED_AGE:04}", True
        return self._written(born, text[:10]), False

    def moment(self, text: object) -> str | None:
        """A date or time as it may be told; None where it is none, or would tell an age over 89."""
        day = day_of(text)
        if day is None or not isinstance(text, str):
            return None
        if self.span.latest is not None:
            latest = self._told(self.span.latest)
            if latest.year - self._told(day).year > POOLED_AGE:
                return None
        return self._written(day, text)

    def planned(self, text: object) -> str | None:
        """The same for what may lie ahead; None where it lies so far that it means 'no end'.

        31 December 2099 is on record in many systems: moved, it would tell by how many weeks.
        """
        day, latest = day_of(text), self.span.latest
        if day is None or (latest is not None and day.year > latest.year + FURTHEST_AHEAD):
            return None
        return self.moment(text)

    def calendar_date(self, text: object) -> str | None:
        """The same for what follows the calendar: the year alone, of the date as it is told."""
        told = self.planned(text)
        return None if told is None else told[:4]

    def instant(self, text: object) -> str | None:
        """The same for what FHIR wants whole; None where dates become years."""
        if self.dates is Dates.YEAR or not isinstance(text, str) or len(text) <= len("2024-03-01"):
            return None
        return self.moment(text)

    def _told(self, day: date) -> date:
        return day if self.dates is Dates.YEAR else moved(day, self.weeks)

    def _written(self, day: date, text: str) -> str:
        if self.dates is Dates.YEAR:
            return text[:4]
        # What is coarser than a day moves by its first day. The clock stays as it is written.
        return self._told(day).isoformat()[: len(text)] + text[10:]


def moved(day: date, weeks: int) -> date:
    """A day so many weeks later, or earlier where they are negative."""
    return day + timedelta(weeks=weeks)


def day_of(text: object) -> date | None:
    """The local day of a FHIR date or time, the first of a month or year; None if it is none.

    What passes is made of digits and of the signs of ISO 8601 alone.
    """
    if not isinstance(text, str) or parse_instant(text, "UTC") is None:
        return None
    return date.fromisoformat((text[:10] + "-01-01")[:10])
