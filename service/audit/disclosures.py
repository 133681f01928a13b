"""An accounting of disclosures: who was shown a patient's record, when, what of it, and why.

HIPAA gives a patient this right for six years back (45 CFR 164.528). The accounting that it asks
for may leave out what was done for treatment, payment and operations, and what was given to the
patient. Ours leaves out nothing: it lists every access, and says of each whether it must be listed.
"""

from datetime import UTC, datetime
from typing import Final

from service.audit.vocabulary import Event
from service.database.audit_entries import Row
from service.identity.roles import Purpose

YEARS: Final = 6
"""How far back an accounting goes (45 CFR 164.528(a)(1))."""

EXEMPT: Final = frozenset(
    {
        Purpose.TREATMENT,
        Purpose.EMERGENCY,
        Purpose.CARE_MANAGEMENT,
        Purpose.OPERATIONS,
        Purpose.QUALITY,
        Purpose.ADMINISTRATION,
        Purpose.PATIENT_REQUEST,
    }
)
"""Purposes that 45 CFR 164.528(a)(1) leaves out of an accounting.

Treatment (with emergencies and the coordination of care) and health care operations (with quality
improvement and the keeping of systems), as 164.501 defines them, and what the patient asked for.
Research is not among them. Neither is a purpose that a later version adds, until it is put here.
"""

DISCLOSING: Final = frozenset(
    {
        Event.SCORE_GIVEN,
        Event.SCORE_READ,
        Event.SCORES_LISTED,
        Event.FOLLOW_UP_READ,
        Event.FOLLOW_UP_CHANGED,
    }
)
"""Events in which something of the record was shown to somebody."""


def must_be_accounted_for(row: Row) -> bool:
    """Whether 45 CFR 164.528 asks for this entry in an accounting.

    What the service does by itself shows nobody anything. A research access is counted even where
    the patient authorised it, which the audit does not know: the accounting rather says too much.
    """
    shown = row.event in DISCLOSING and row.outcome == "success"
    return shown and row.purpose is not None and row.purpose not in EXEMPT


def since(now: datetime) -> int:
    """Where an accounting begins that is made now, microseconds UTC."""
    # The 29th of February has no day of the same name six years before: from the 28th on.
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    began = now.astimezone(UTC).replace(year=now.year - YEARS, day=day)
    return round(began.timestamp()) * 1_000_000
