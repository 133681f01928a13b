"""Condition: a diagnosis coded for an encounter, or a problem on the problem list."""

from fhir_mappings.events import DatedBy, Event
from fhir_mappings.records.instants import Instant
from fhir_mappings.records.resources import Condition
from fhir_mappings.sources.reading import DID_NOT_HAPPEN, Reading, event

_PROBLEM = "condition-category|problem-list-item"


def condition(record: Condition, reading: Reading) -> list[Event]:
    """One event a coding; nothing where the condition was refuted or entered in error.

    A diagnosis with neither date nor time of recording happened, and was known, when its encounter
    ended: coding is done from the whole stay. One that was recorded on a day, without a clock, was
    known at the end of that day; on the day of the discharge itself, where it cannot be told which
    came first, by the discharge (``settling``). A condition that is over still counts: it is part
    of the history.
    """
    subject = reading.patient_of(record.subject)
    verification = reading.coder.codes(record.verification_status)
    if subject is None or any(code.rpartition("|")[2] in DID_NOT_HAPPEN for code in verification):
        return []
    encounter = reading.id_of(record.encounter)
    problem = _PROBLEM in [c for each in record.category for c in reading.coder.codes(each)]
    onset = reading.instant(record.onset_date_time, "Condition.onsetDateTime")
    if onset is None:
        onset = reading.period(record.onset_period, "Condition.onsetPeriod")[0]
    recorded = reading.instant(record.recorded_date, "Condition.recordedDate")
    when, known, dated_by = _dated(onset, recorded, encounter is not None and not problem)
    return [
        event(
            subject,
            f"Condition/{record.id}",
            "problem" if problem else "diagnosis",
            code,
            when,
            known=known,
            end=reading.instant(record.abatement_date_time, "Condition.abatementDateTime"),
            encounter=encounter,
            updated=reading.updated(record.meta),
            dated_by=dated_by,
        )
        for code in reading.coder.codes(record.code)
    ]


def _dated(
    onset: Instant | None, recorded: Instant | None, coded_for_encounter: bool
) -> tuple[Instant | None, Instant | None, DatedBy]:
    """When it happened, when it was known, and what says so."""
    recorded_with_clock = recorded is not None and recorded.utc_offset is not None
    by_encounter = coded_for_encounter and not recorded_with_clock
    when = onset or recorded
    if when is not None and recorded is not None and when.at > recorded.at:
        when = recorded
    return when, recorded or when, "encounter-end" if by_encounter else "record"
