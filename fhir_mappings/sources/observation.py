"""Observation: labs, vitals, scores and answers, whole panels and their components."""

import math

from fhir_mappings.events import DatedBy, Event
from fhir_mappings.records.datatypes import Quantity
from fhir_mappings.records.resources import Measured, Observation
from fhir_mappings.sources.reading import DID_NOT_HAPPEN, Reading, times

_NOT_YET = frozenset({"registered"})


def observation(record: Observation, reading: Reading) -> list[Event]:
    """One event a coding, of the observation and of each of its components.

    It happened when the specimen was taken or the patient measured, and was known when it was
    issued: a result that came after the discharge was of no use at the bedside. A panel without a
    value of its own leaves only its components; a ``dataAbsentReason`` leaves nothing.
    """
    subject = reading.patient_of(record.subject)
    if subject is None or record.status in DID_NOT_HAPPEN or record.status in _NOT_YET:
        return []
    when = reading.instant(
        record.effective_date_time or record.effective_instant, "Observation.effective"
    )
    end = None
    if when is None and record.effective_period is not None:
        when, end = reading.period(record.effective_period, "Observation.effectivePeriod")
    known = reading.instant(record.issued, "Observation.issued")
    time, known_at, utc_offset = times(when or known, known or end)
    ended = None if end is None else end.at
    encounter = reading.id_of(record.encounter)
    source = f"Observation/{record.id}"
    updated = reading.updated(record.meta)
    dated_by: DatedBy = "record" if when or known else "encounter-start"
    events = []
    for measured in (record, *record.component) if record.component else (record,):
        value, unit, text, given = _value(measured, reading)
        if given:
            # Spelled out, not by ``event``: nine of ten records of a hospital come through here.
            events += [
                Event(
                    subject,
                    time,
                    ended,
                    known_at,
                    "observation",
                    code,
                    value,
                    unit,
                    text,
                    encounter,
                    source,
                    updated,
                    utc_offset,
                    dated_by,
                )
                for code in reading.coder.codes(measured.code)
            ]
    return events


def _value(
    measured: Measured, reading: Reading
) -> tuple[float | None, str | None, str | None, bool]:
    """Number, unit, text, and whether there is a value at all."""
    if measured.value_quantity is not None:
        number, unit = _number(measured.value_quantity)
        return number, unit, measured.value_quantity.comparator, number is not None
    if measured.value_codeable_concept is not None:
        codes = reading.coder.codes(measured.value_codeable_concept)
        return None, None, codes[0] if codes else None, bool(codes)
    if measured.value_integer is not None:
        return float(measured.value_integer), "1", None, True
    if measured.value_boolean is not None:
        return float(measured.value_boolean), "1", None, True
    return _rarer_value(measured)


def _rarer_value(measured: Measured) -> tuple[float | None, str | None, str | None, bool]:
    if measured.value_ratio is not None:
        return (*_ratio(measured), None, True)
    if measured.value_range is not None:
        low, high = measured.value_range.low, measured.value_range.high
        if (
            low is not None
            and high is not None
            and low.value is not None
            and high.value is not None
        ):
            return (low.value + high.value) / 2, low.code or low.unit, "range", True
        return None, None, "range", True
    text = measured.value_string or measured.value_time or measured.value_date_time
    if text is not None:
        return None, None, text.strip(), True
    other = measured.value_period is not None or measured.value_sampled_data is not None
    return None, None, None, other


def _number(quantity: Quantity) -> tuple[float | None, str | None]:
    """The number and its unit; ``< 5`` is read as 5, as near as the record lets us come."""
    if quantity.value is None or not math.isfinite(quantity.value):
        return None, None
    return quantity.value, quantity.code or quantity.unit


def _ratio(measured: Measured) -> tuple[float | None, str | None]:
    ratio = measured.value_ratio
    if ratio is None or ratio.numerator is None or ratio.denominator is None:
        return None, None
    top, bottom = ratio.numerator.value, ratio.denominator.value
    if top is None or not bottom:
        return None, None
    unit = f"{ratio.numerator.code or '1'}/{ratio.denominator.code or '1'}"
    return top / bottom, None if unit == "1/1" else unit
