"""FHIR dates and times as microseconds UTC, with the offset of the local clock kept beside.

FHIR R4 allows ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD`` and a full time with an offset
(datatypes.html#dateTime). What is coarser than a day is taken at its first day, and is certainly
past only after its last; what has no clock is read in the site's time zone.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fhir_mappings.events import SECOND

EARLIEST_YEAR = 1880
"""Nobody alive was born earlier; a year before it is a slip of the pen."""
LATEST_YEAR = 2300
"""De-identified data are shifted by up to two centuries (MIMIC-IV: to 2110-2201)."""

_FHIR_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ](?!24)\S+)?)?)?\Z", re.ASCII)
"""Python reads more of ISO 8601 than FHIR allows: week dates, dates without hyphens, 24:00."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_OFFSET = timedelta(0)
_DATE_LENGTHS = {4: "-01-01", 7: "-01", 10: ""}
_SPANS = {4: 366, 7: 31, 10: 1}


class Instant(NamedTuple):
    """A moment that a record names."""

    at: int
    """Microseconds since 1970-01-01 UTC; for a date, its first moment in the site's time zone."""
    utc_offset: int | None
    """Minutes that the local clock is ahead of UTC; None for a date, which has no clock."""
    last: int
    """The last moment that the text may mean: ``at`` itself, or the end of its day, month or
    year."""


@lru_cache(maxsize=8192)
def parse_instant(text: str, zone: str) -> Instant | None:
    """Read a FHIR date, dateTime or instant.

    Args:
        text: as in the record.
        zone: IANA name of the time zone for what carries no offset.

    Returns:
        None where the text is no FHIR date, or its year is absurd.

    """
    if not _FHIR_DATE.match(text):
        return None
    completed = _DATE_LENGTHS.get(len(text))
    try:
        moment = datetime.fromisoformat(text if completed is None else text + completed)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            return None
        at = from_datetime(moment)
    except (ValueError, OverflowError):
        return None
    if completed is not None:
        return Instant(at, None, from_datetime(_following(moment, len(text))) - 1)
    offset = moment.utcoffset() or _NO_OFFSET
    return Instant(at, offset.days * 1440 + offset.seconds // 60, at)


def as_datetime(at: int, utc_offset: int | None = None) -> datetime:
    """The moment as a datetime, on the local clock where its offset is known, else in UTC."""
    moment = _EPOCH + timedelta(microseconds=at)
    if utc_offset is None:
        return moment
    return moment.astimezone(_fixed_zone(utc_offset))


def from_datetime(moment: datetime) -> int:
    """Microseconds UTC of a datetime that carries a time zone."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def _following(first: datetime, length: int) -> datetime:
    """The first moment after a year, month or day, on the same local clock.

    A local day has 23 or 25 hours where clocks change, so that 24 hours cannot be added.
    """
    following = first + timedelta(days=_SPANS[length])
    if length == 10:
        return following
    return following.replace(day=1) if length == 7 else following.replace(month=1, day=1)


@lru_cache(maxsize=256)
def _fixed_zone(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes))
