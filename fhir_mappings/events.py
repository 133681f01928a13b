"""The event: the one shape that every record takes, and that all below reads.

Times are whole microseconds since 1970-01-01 in UTC. They are plain integers because a hospital's
export holds hundreds of millions of them, and because integers compare the same everywhere.
"""

from typing import Literal, NamedTuple

Kind = Literal[
    "patient",
    "encounter",
    "diagnosis",
    "problem",
    "observation",
    "medication-order",
    "discharge-prescription",
    "medication-administration",
    "medication-statement",
    "procedure",
]
"""What sort of record an event comes from. A diagnosis is coded for an encounter; a problem stands
on the problem list; a discharge prescription is an order that the patient takes home."""

DatedBy = Literal["record", "encounter-start", "encounter-end"]
"""Where an event's time comes from: the record itself, or the encounter that it belongs to."""

SECOND = 1_000_000
"""One second in the unit of event times (microseconds)."""
HOUR = 3_600 * SECOND
"""One hour in the unit of event times (microseconds)."""
DAY = 24 * HOUR
"""One day in the unit of event times (microseconds)."""


class Event(NamedTuple):
    """One thing that a record says about one patient.

    ``code`` is ``SYSTEM|code`` with the short system names of ``records.codes``; for what has no
    code elsewhere it is one of ours, ``readmit/<facet>|<value>``. A record whose concept carries
    several codings gives an event for each, all with the same ``source``: whoever counts, counts
    sources.
    """

    subject: str
    """The Patient's id, without type and server."""
    time: int | None
    """When it happened, microseconds UTC; None until settled, and for what stays undated."""
    end: int | None
    """When it ended, where it has a length (an encounter, a prescription); else None."""
    known_at: int | None
    """When the record could first be seen, microseconds UTC. Features ask ``known_at <= as_of``."""
    kind: Kind
    code: str
    value: float | None
    """A number, in ``unit``; None where the record gives none or gives a text."""
    unit: str | None
    """The unit as the record writes it (UCUM code where there is one)."""
    text: str | None
    """A coded or textual value (``SYSTEM|code`` where coded)."""
    encounter: str | None
    """The id of the Encounter that it belongs to."""
    source: str
    """The resource behind it, ``Type/id``."""
    updated: int
    """``meta.lastUpdated`` in microseconds, 0 where absent; of two versions the later counts."""
    utc_offset: int | None
    """Minutes that the record's local clock is ahead of UTC; None where the record has no clock."""
    dated_by: DatedBy
