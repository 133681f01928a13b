"""A value in a clinician's words: the phrases are declared with the feature, and filled in here."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from fhir_mappings.concepts.written_units import written_unit
from fhir_mappings.errors import DeclarationError
from fhir_mappings.events import DAY
from fhir_mappings.features.declaration import Feature

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def local_time(time: int, utc_offset: int | None) -> datetime:
    """A time of ours (microseconds UTC) by the record's own clock, UTC where it has none."""
    zone = UTC if utc_offset is None else timezone(timedelta(minutes=utc_offset))
    return (_EPOCH + timedelta(microseconds=time)).astimezone(zone)


def local_date(time: int, utc_offset: int | None) -> str:
    """The ISO date of a time by the record's own clock."""
    return local_time(time, utc_offset).date().isoformat()


def number(value: float) -> str:
    """Write a number as a clinician does: ``138``, ``7.4``, ``0.04``.

    One decimal and no trailing zero; below 1, two significant digits, because a troponin of 0.04
    is not 0.
    """
    if value != 0 and abs(value) < 1:
        digits = 1 - math.floor(math.log10(abs(value)))
        written = f"{value:.{digits}f}"
    else:
        written = f"{value:.1f}"
    written = written.rstrip("0").rstrip(".")
    return "0" if written in {"", "-0"} else written


def phrase(
    feature: Feature,
    value: float | None,
    *,
    as_of: int,
    newest: int | None = None,
    utc_offset: int | None = None,
) -> str:
    """Say what a feature's value means, by the phrases that it is declared with.

    Args:
        feature: the feature, whose phrases are templates for none, zero, one and anything else.
        value: its value; None where the record has none.
        as_of: the moment of scoring, microseconds UTC.
        newest: the time of the newest record behind the value; None where there is none.
        utc_offset: minutes that the record's clock is ahead of UTC.

    Raises:
        DeclarationError: if a template names something that is not known here.
    """
    template = _template(feature, value)
    words = {
        "value": _value(feature, value or 0.0),
        "unit": written_unit(feature.unit),
        "date": "an unknown date" if newest is None else local_date(newest, utc_offset),
        "days": "an unknown number of" if newest is None else str(max(0, as_of - newest) // DAY),
    }
    try:
        filled = template.format_map(words)
    except (KeyError, ValueError, IndexError):
        raise DeclarationError(
            f"feature {feature.name}: a phrase uses a field other than "
            "{value}, {unit}, {date} and {days}"
        ) from None
    return " ".join(filled.split())


def _value(feature: Feature, value: float) -> str:
    if feature.measure == "present":
        return "yes" if value else "no"
    # People are 78 years old until they are 79, never 78.8.
    return number(math.floor(value) if feature.measure == "age" else value)


def _template(feature: Feature, value: float | None) -> str:
    phrases = feature.phrases
    if value is None:
        # The description is a noun phrase of ours, and may hold no placeholder.
        return phrases.missing or f"{feature.description.rstrip('.')}: not recorded".replace(
            "{", "{{"
        ).replace("}", "}}")
    if value == 0:
        return phrases.zero or phrases.many
    if number(value) == "1":
        return phrases.one or phrases.many
    return phrases.many
