"""A fictitious ward: events to store, and ways to store them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fhir_mappings.events import DAY, Event
from fhir_mappings.store import Settle, StoreWriter, WriteSummary, open_store

NOON = 1_700_000_000_000_000


def sodium(
    patient: str = "ada", number: int = 1, value: float = 140.0, updated: int = 1, day: int = 0
) -> Event:
    """Return a sodium result."""
    return Event(
        subject=patient,
        time=NOON + day * DAY,
        end=None,
        known_at=NOON + day * DAY + 60,
        kind="observation",
        code="LOINC|2951-2",
        value=value,
        unit="mmol/L",
        text=None,
        encounter="stay-1",
        source=f"Observation/na-{patient}-{number}",
        updated=updated,
        utc_offset=60,
        dated_by="record",
    )


def order(drug: str, patient: str = "ada", number: int = 1, updated: int = 1) -> Event:
    """Return a medication order whose drug is a code or ``Medication/id``."""
    return sodium(patient, number, updated=updated)._replace(
        kind="medication-order",
        code=drug,
        value=None,
        unit=None,
        source=f"MedicationRequest/{patient}-{number}",
    )


def version(*events: Event) -> tuple[str, str, int, Sequence[Event]]:
    """Return one version of the resource that the events come from."""
    return events[0].subject, events[0].source, events[0].updated, events


def withdrawn(event: Event, updated: int, subject: str | None = None) -> tuple[str, str, int, list]:
    """Return the version of a resource that says that it was entered in error."""
    return event.subject if subject is None else subject, event.source, updated, []


def ingest(
    store: Path,
    *versions: tuple[str, str, int, Sequence[Event]],
    medications: Iterable[tuple[str, Sequence[str], int]] = (),
    settle: Settle | None = None,
    rules: str = "",
    shards: int = 4,
) -> WriteSummary:
    """Store one export."""
    with StoreWriter(store, shards) as writer:
        for one in versions:
            writer.add(*one)
        for medication in medications:
            writer.medication(*medication)
        return writer.finish(settle, rules=rules)


def stored(store: Path) -> dict[str, list[Event]]:
    """Return every patient's events."""
    with open_store(store) as opened:
        return {
            subject: events
            for shard in range(opened.shards)
            for subject, events in opened.read_shard(shard)
        }


def shard_bytes(store: Path) -> list[bytes]:
    """Return the content of each shard's file."""
    return [path.read_bytes() for path in sorted((store / "current" / "data").iterdir())]
