"""Rows on their way into the store: versions of resources as an Arrow table."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fhir_mappings.events import Event
from fhir_mappings.store.schema import ROW_SCHEMA, WITHDRAWN, table_of

SPOOL_SCHEMA = ROW_SCHEMA.append(pa.field("sequence", pa.int64()))
"""Rows with their turn: of two versions equally recent, the one with the later turn counts."""


class Rows:
    """Versions of resources as they come, each with its turn, counted from 0."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._counts: list[int] = []

    def __len__(self) -> int:
        return len(self._events)

    @property
    def turns(self) -> int:
        """How many versions there are."""
        return len(self._counts)

    def add(self, subject: str, source: str, updated: int, events: Sequence[Event]) -> None:
        """Add one version of a resource, withdrawn where it has no events.

        Raises:
            ValueError: The events are not those of this patient, resource and version.

        """
        if events:
            first = events[0]
            if first.source != source or first.subject != subject or first.updated != updated:
                raise ValueError("the events are not those of this version of the resource")
            if not subject:
                raise ValueError("events belong to a patient")
            self._events.extend(events)
            self._counts.append(len(events))
        else:
            self._events.append(_tombstone(subject, source, updated))
            self._counts.append(1)

    def table(self) -> pa.Table:
        """The rows, of ``SPOOL_SCHEMA``."""
        if not self._events:
            return SPOOL_SCHEMA.empty_table()
        sequence = np.repeat(np.arange(len(self._counts)), self._counts)
        return table_of(self._events).append_column(
            SPOOL_SCHEMA.field("sequence"), pa.array(sequence, pa.int64())
        )


def _tombstone(subject: str, source: str, updated: int) -> Event:
    return Event(
        subject=subject,
        time=None,
        end=None,
        known_at=None,
        kind="patient",
        code=WITHDRAWN,
        value=None,
        unit=None,
        text=None,
        encounter=None,
        source=source,
        updated=updated,
        utc_offset=None,
        dated_by="record",
    )
