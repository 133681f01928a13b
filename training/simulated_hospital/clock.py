"""The hospital's clock: whole seconds since 1970-01-01 UTC inside, local time with offset outside.

Formatting a date takes a microsecond and is done a million times, so dates, times of day and the
offset of every hour (daylight saving included) are worked out once.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
YEAR: Final = 31_557_600
"""A year of 365.25 days, in seconds."""

_MARGIN_DAYS = 400
_EPOCH = date(1970, 1, 1)
_TIMES = [f"T{m // 60:02d}:{m % 60:02d}:" for m in range(1440)]
_SECONDS = [f"{s:02d}" for s in range(60)]


class Clock:
    """Local time at the hospital between a first and a last day (and a year either side)."""

    def __init__(self, zone: str, first: date, last: date) -> None:
        place = ZoneInfo(zone)
        self.start = _local_midnight(first, place)
        """The moment that the first day begins."""
        self.end = _local_midnight(last + timedelta(days=1), place)
        """The moment after the last day."""
        self._base = self.start - self.start % DAY - _MARGIN_DAYS * DAY
        hours = (self.end - self._base) // HOUR + _MARGIN_DAYS * 24
        self._offsets = [_offset(self._base + h * HOUR, place) for h in range(hours)]
        self._written = {seconds: _written(seconds) for seconds in set(self._offsets)}
        base_day = self._base // DAY
        self._first_day = base_day - 1
        self._dates = [
            (_EPOCH + timedelta(days=base_day - 1 + d)).isoformat() for d in range(hours // 24 + 3)
        ]

    def offset(self, moment: int) -> int:
        """Return how many seconds the local clock is ahead of UTC."""
        return self._offsets[(moment - self._base) // HOUR]

    def local(self, moment: int) -> str:
        """Write a moment as a FHIR dateTime or instant in local time with its offset."""
        offset = self._offsets[(moment - self._base) // HOUR]
        day, second = divmod(moment + offset, DAY)
        minute, second = divmod(second, MINUTE)
        written = self._dates[day - self._first_day]
        return f"{written}{_TIMES[minute]}{_SECONDS[second]}{self._written[offset]}"

    def utc(self, moment: int) -> str:
        """Write a moment as a FHIR instant in UTC."""
        day, second = divmod(moment, DAY)
        minute, second = divmod(second, MINUTE)
        return f"{self._dates[day - self._first_day]}{_TIMES[minute]}{_SECONDS[second]}Z"

    def day(self, moment: int) -> date:
        """Return the local calendar day of a moment."""
        return _EPOCH + timedelta(days=(moment + self.offset(moment)) // DAY)

    def midnight(self, moment: int, days: int = 0) -> int:
        """Return the local midnight that begins the day of a moment, or one some days later."""
        offset = self.offset(moment)
        return (moment + offset) // DAY * DAY + days * DAY - offset


def _local_midnight(day: date, place: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=place).timestamp())


def _offset(moment: int, place: ZoneInfo) -> int:
    ahead = datetime.fromtimestamp(moment, tz=UTC).astimezone(place).utcoffset()
    return int(ahead.total_seconds()) if ahead is not None else 0


def _written(offset: int) -> str:
    sign = "-" if offset < 0 else "+"
    return f"{sign}{abs(offset) // 3600:02d}:{abs(offset) % 3600 // 60:02d}"
