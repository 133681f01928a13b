"""Having what was given up tried again, at the operator's word."""

from datetime import UTC, datetime

from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database.leases import retry_failed
from service.keeping import Keeping


def retry(keeping: Keeping) -> dict[str, int]:
    """Have all that was given up tried again, and enter that in the audit; how many of which.

    Raises:
        DatabaseError: if it cannot be written.
        AuditError: if it cannot be entered.
    """
    now = from_datetime(datetime.now(UTC))
    with keeping.audit.recorded() as work:
        anew = retry_failed(work.connection, now=now)
        told = {"events": anew["received_events"], "resources": anew["outbox"]}
        work.record(Entry(event=Event.EVENTS_RETRIED, caller=None, details=told))
    return told
