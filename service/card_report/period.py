"""Whole days on the hospital's clock, for whatever is reported on by days."""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fhir_mappings.records.instants import from_datetime


class Period(NamedTuple):
    """Whole days on the hospital's clock."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def since(self) -> int:
        """Where it begins, microseconds UTC."""
        return self._midnight(self.first)

    @property
    def until(self) -> int:
        """Where it is over, microseconds UTC."""
        return self._midnight(self.last + timedelta(days=1))

    def until_after(self, days: int) -> int:
        """The same so many days later, microseconds UTC."""
        return self._midnight(self.last + timedelta(days=1 + days))

    def _midnight(self, day: date) -> int:
        return from_datetime(datetime.combine(day, time(), self.zone))
