"""Times that only a patient's other records can tell.

A diagnosis without a date belongs to the end of its encounter; a billing code is known some days
after the discharge. Both need the Encounter, which may stand anywhere in an export, so they are
settled once all records of the patient are together: for a shard of the store and for a Bundle
by the same rule. Settling twice changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.events import DAY, Event
from fhir_mappings.profiles import CodingRules, SiteProfile

Periods = Mapping[str, tuple[int | None, int | None]]
"""Start and end of each encounter of a patient, by its id."""

_CODED = ("ICD10CM|", "ICD9CM|", "ICD10PCS|", "ICD9PROC|")


def settle(events: Iterable[Event], profile: SiteProfile) -> list[Event]:
    """One patient's events with every time filled in that their encounters can tell."""
    events = list(events)
    periods = {
        event.encounter: (event.time, event.end)
        for event in events
        if event.encounter is not None and event.code.startswith("readmit/encounter|")
    }
    settled = []
    for event in events:
        if _unsettled(event.dated_by, event.kind, event.code, profile.coding):
            time, known_at = _times(event, periods, profile.coding)
            event = event._replace(time=time, known_at=known_at)
        settled.append(event)
    return settled


class Unsettled(Protocol):
    """What settling asks of an event, or of a row of the store."""

    @property
    def time(self) -> int | None:
        """When it happened, microseconds UTC."""
        ...

    @property
    def known_at(self) -> int | None:
        """When it could first be seen, microseconds UTC."""
        ...

    @property
    def kind(self) -> str:
        """The kind of record."""
        ...

    @property
    def code(self) -> str:
        """``SYSTEM|code``."""
        ...

    @property
    def encounter(self) -> str | None:
        """The id of its Encounter."""
        ...

    @property
    def dated_by(self) -> str:
        """What its time comes from."""
        ...


class _Row(NamedTuple):
    time: int | None
    known_at: int | None
    kind: str
    code: str
    encounter: str | None
    dated_by: str


def _unsettled(dated_by: str, kind: str, code: str, coding: CodingRules) -> bool:
    return dated_by != "record" or (
        coding.known == "after-discharge" and _coded_for_stay(kind, code)
    )


def _coded_for_stay(kind: str, code: str) -> bool:
    return kind in ("diagnosis", "procedure") and code.startswith(_CODED)


def _times(
    event: Unsettled, periods: Periods, coding: CodingRules
) -> tuple[int | None, int | None]:
    """When it happened and when it was known, as far as the encounter tells."""
    start, end = periods.get(event.encounter or "", (None, None))
    time, known = event.time, event.known_at
    if event.dated_by == "encounter-start":
        time = known = start
    elif event.dated_by == "encounter-end" and end is not None:
        if known is None:
            time = known = end
        elif known - DAY < end <= known:
            # Recorded, by a date alone, on the day of the discharge: taken as known by then.
            known = end
    if coding.known == "after-discharge" and _coded_for_stay(event.kind, event.code):
        known = None if end is None else end + int(coding.days * DAY)
    return time, known


def settle_table(table: pa.Table, profile: SiteProfile) -> pa.Table:
    """``settle`` for a shard of the store: the same rule on the rows that need it.

    Args:
        table: rows with the columns of the store, of any number of patients.
        profile: how the site codes.

    """
    chosen = _unsettled_rows(table, profile.coding)
    if not len(chosen):
        return table
    periods = _periods(table)
    time = table.column("time").cast(pa.int64()).to_pylist()
    known_at = table.column("known_at").cast(pa.int64()).to_pylist()
    parts = table.select(["subject_id", "kind", "code", "encounter_id", "dated_by"]).take(chosen)
    cells = zip(*(column.to_pylist() for column in parts.columns), strict=True)
    for number, (subject, *facts) in zip(chosen.to_pylist(), cells, strict=True):
        row = _Row(time[number], known_at[number], *facts)
        time[number], known_at[number] = _times(row, periods.get(subject, {}), profile.coding)
    for name, values in (("time", time), ("known_at", known_at)):
        position = table.column_names.index(name)
        column = pa.array(values, pa.int64()).cast(table.schema.field(name).type)
        table = table.set_column(position, table.schema.field(name), column)
    return table


def _unsettled_rows(table: pa.Table, coding: CodingRules) -> pa.Array:
    wanted = pc.not_equal(table.column("dated_by").cast(pa.string()), "record")
    if coding.known == "after-discharge":
        kinds = pc.is_in(
            table.column("kind").cast(pa.string()), value_set=pa.array(["diagnosis", "procedure"])
        )
        codes = table.column("code").cast(pa.string())
        coded = pc.starts_with(codes, _CODED[0])
        for prefix in _CODED[1:]:
            coded = pc.or_(coded, pc.starts_with(codes, prefix))
        wanted = pc.or_(wanted, pc.and_(kinds, coded))
    return pa.array(np.flatnonzero(wanted.to_numpy(zero_copy_only=False)))


def _periods(table: pa.Table) -> dict[int, Periods]:
    """The encounters of each patient: which patients share a shard must not change any of them."""
    encounters = table.filter(
        pc.starts_with(table.column("code").cast(pa.string()), "readmit/encounter|")
    )
    names = encounters.column("encounter_id").to_pylist()
    starts = encounters.column("time").cast(pa.int64()).to_pylist()
    ends = encounters.column("end").cast(pa.int64()).to_pylist()
    subjects = encounters.column("subject_id").to_pylist()
    periods: dict[int, dict[str, tuple[int | None, int | None]]] = {}
    for subject, name, start, end in zip(subjects, names, starts, ends, strict=True):
        periods.setdefault(subject, {})[name] = (start, end)
    return {**periods}
