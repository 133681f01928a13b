"""The simulated hospital's years, moved so that they end now.

The simulation ends on a fixed day, so that what it shows can be repeated. An EHR has patients in
hospital today, and a card is of no use for a stay of years ago. So all dates are moved when a
record is read, by one number of days: intervals, order and times of day stay as they are. Weekdays
do not. Whole weeks would keep them, and leave those in hospital without a measurement for up to a
week: that would change what the model says far more, as the simulation knows no weekends.
"""

import re
from datetime import date, timedelta
from typing import Final

_FULL_DATE: Final = re.compile(rb'(?<=")[12]\d{3}-[01]\d-[0-3]\d(?=["T])')
"""A FHIR date, or the beginning of a dateTime. A year or month alone cannot be moved by days."""


class MovedDates:
    """Moves the dates within a record's JSON; each day's move is worked out once."""

    def __init__(self, days: int) -> None:
        self.days: Final = days
        self._moved: dict[bytes, bytes] = {}

    def move(self, raw: bytes) -> bytes:
        """A record with its dates moved."""
        return _FULL_DATE.sub(self._one, raw) if self.days else raw

    def moment(self, text: str) -> str:
        """A single dateTime, moved."""
        return self._worked_out(text[:10].encode()).decode() + text[10:] if self.days else text

    def _one(self, found: re.Match[bytes]) -> bytes:
        day = found[0]
        moved = self._moved.get(day)
        if moved is None:
            moved = self._moved[day] = self._worked_out(day)
        return moved

    def _worked_out(self, day: bytes) -> bytes:
        try:
            moved = date.fromisoformat(day.decode("ascii")) + timedelta(days=self.days)
        except (ValueError, OverflowError):
            return day  # no day of the calendar: an identifier that looks like one, say
        return moved.isoformat().encode("ascii")


def days_until(last: date, today: date) -> int:
    """How many days later records may be that end on ``last``, to end the day before ``today``."""
    return (today - last).days - 1
