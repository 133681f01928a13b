"""Coverage: who pays for a patient's care, and from when; for subgroup reports, never for scoring.

A Coverage that another resource contains (Synthea's explanations of benefit do) is not read: it
belongs to one claim and says nothing of its own period.
"""

from collections.abc import Iterator

from fhir_mappings.events import Event
from fhir_mappings.records.datatypes import CodeableConcept
from fhir_mappings.records.instants import Instant
from fhir_mappings.records.resources import Coverage
from fhir_mappings.sources.reading import DID_NOT_HAPPEN, Reading, event

_PEOPLE = ("Patient/", "RelatedPerson/")


def coverage(record: Coverage, reading: Reading) -> list[Event]:
    """The class of payer from the start of the coverage to its end, ``other`` where no table knows.

    The event's value is ``Coverage.order``, 1 for the primary payer; its text is the record's own
    word. Without ``period.start`` nobody can say for which stay it paid: the event has no time.
    """
    subject = reading.patient_of(record.subject)
    if subject is None or record.status in DID_NOT_HAPPEN:
        return []
    codes = list(_codes(record, reading))
    if not codes:
        return []
    start, end = reading.period(record.period, "Coverage.period")
    return [
        event(
            subject,
            f"Coverage/{record.id}",
            "patient",
            f"readmit/payer|{_payer(codes, reading)}",
            start,
            end=_through(end),
            value=None if record.order is None else float(record.order),
            text=codes[0],
            updated=reading.updated(record.meta),
        )
    ]


def _codes(record: Coverage, reading: Reading) -> Iterator[str]:
    """What the record calls its type and its payers, the type first."""
    yield from reading.coder.codes(record.type)
    for payor in record.payor:
        if payor.reference and payor.reference.startswith(_PEOPLE):
            yield "coverage-selfpay|pay"
        elif payor.display:
            yield from reading.coder.codes(CodeableConcept(text=payor.display))


def _payer(codes: list[str], reading: Reading) -> str:
    for code in codes:
        for name in reading.concepts.of(code):
            if name.startswith("payer."):
                return name.removeprefix("payer.")
    return "other"


def _through(end: Instant | None) -> Instant | None:
    """A last day without a clock is covered to its end."""
    return None if end is None else end._replace(at=end.last)
