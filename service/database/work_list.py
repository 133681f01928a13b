"""The rows of the care managers' list, as the last batch run left them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from service.database.tables import WORK_LIST


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A patient with their newest stay; the moments are microseconds UTC.

    What is None where ``left`` says why the patient is not on the list was never known, or is
    nobody's to know any more.
    """

    patient_index: str
    patient_sealed: bytes
    stay_index: str
    score_id: str | None = None
    unit: str | None = None
    probability: float | None = None
    band: str | None = None
    lace: int | None = None
    hospital: int | None = None
    discharged_at: int | None = None
    """None while they are in hospital."""
    remaining: float | None = None
    """The risk for the days that are left of the thirty; the whole risk, and no interval, where the
    model has no curve."""
    remaining_low: float | None = None
    remaining_high: float | None = None
    condition_group: str | None = None
    groups: str = "{}"
    """JSON: what the record says of the attributes that fairness is looked at by."""
    summary_sealed: bytes | None = None
    left: str | None = None
    fingerprint: str
    run: str


class Known(NamedTuple):
    """What a run must know of a row to leave it as it is."""

    fingerprint: str
    stay_index: str
    probability: float | None
    discharged_at: int | None
    left: str | None


class Aged(NamedTuple):
    """What changes in a row that is not made anew: the day, and whether the patient has left."""

    patient_index: str
    remaining: float | None
    remaining_low: float | None
    remaining_high: float | None
    left: str | None
    fingerprint: str


def known(connection: Connection) -> dict[str, Known]:
    """Every row by its patient's index."""
    columns = [WORK_LIST.c.patient_index, *(WORK_LIST.c[name] for name in Known._fields)]
    found = connection.execute(select(*columns), execution_options={"yield_per": 10_000})
    return {index: Known(*rest) for index, *rest in found}


def all_rows(connection: Connection) -> Iterator[Row]:
    """Every row, in the order of its patient's index."""
    for row in connection.execute(select(WORK_LIST).order_by(WORK_LIST.c.patient_index)):
        yield Row(**row._mapping)


def put(connection: Connection, rows: Sequence[Row]) -> None:
    """Put rows in the place of those of the same patients."""
    if not rows:
        return
    theirs = WORK_LIST.c.patient_index.in_([row.patient_index for row in rows])
    connection.execute(delete(WORK_LIST).where(theirs))
    connection.execute(insert(WORK_LIST), [msgspec.structs.asdict(row) for row in rows])


def age(connection: Connection, rows: Iterable[Aged], *, run: str) -> None:
    """Say what the day changed in rows, and which run saw them."""
    values = [{"of_patient": row.patient_index, **row._asdict(), "run": run} for row in rows]
    if values:
        changed: dict[str, Any] = {name: bindparam(name) for name in (*Aged._fields[1:], "run")}
        theirs = WORK_LIST.c.patient_index == bindparam("of_patient")
        connection.execute(update(WORK_LIST).where(theirs).values(changed), values)


def not_seen(connection: Connection, *, run: str) -> dict[str, int | None]:
    """Patients on the list whom a run did not come across, with the moment of their discharge."""
    found = connection.execute(
        select(WORK_LIST.c.patient_index, WORK_LIST.c.discharged_at)
        .where(WORK_LIST.c.left.is_(None), WORK_LIST.c.run != run)
        .order_by(WORK_LIST.c.patient_index)
    )
    return {row.patient_index: row.discharged_at for row in found}


def forget_refused(connection: Connection, *, run: str) -> int:
    """Delete the rows of patients who said no and whom a run did not come across; how many.

    Once their stay is not recent any more, not even that they said no is kept here.
    """
    theirs = (WORK_LIST.c.left == "opted_out", WORK_LIST.c.run != run)
    return connection.execute(delete(WORK_LIST).where(*theirs)).rowcount


def listed(connection: Connection) -> int:
    """How many patients are on the list."""
    found = select(func.count()).select_from(WORK_LIST).where(WORK_LIST.c.left.is_(None))
    return connection.execute(found).scalar_one()
