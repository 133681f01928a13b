"""Procedure: what was done to or for the patient."""

from fhir_mappings.events import Event
from fhir_mappings.records.resources import Procedure
from fhir_mappings.sources.reading import DID_NOT_HAPPEN, Reading, event

_NOT_BEGUN = frozenset({"preparation"})


def procedure(record: Procedure, reading: Reading) -> list[Event]:
    """One event a coding; known when it began. One that was not done leaves nothing."""
    subject = reading.patient_of(record.subject)
    if subject is None or record.status in DID_NOT_HAPPEN or record.status in _NOT_BEGUN:
        return []
    when = reading.instant(record.performed_date_time, "Procedure.performedDateTime")
    end = None
    if when is None:
        when, end = reading.period(record.performed_period, "Procedure.performedPeriod")
    return [
        event(
            subject,
            f"Procedure/{record.id}",
            "procedure",
            code,
            when,
            end=end,
            encounter=reading.id_of(record.encounter),
            updated=reading.updated(record.meta),
            dated_by="record" if when is not None else "encounter-end",
        )
        for code in reading.coder.codes(record.code)
    ]
