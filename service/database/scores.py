"""The scores that were given: kept once, never changed, found by their id or by their patient."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, func, insert, select, tuple_

from service.database.tables import SCORES

# Made once: to build a statement takes longer than to run it.
_KEEP: Final = insert(SCORES)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A score as it is kept. ``score_sealed`` is the whole answer; the rest is what it is found by.

    ``made_at`` is microseconds UTC.
    """

    id: str
    patient_index: str
    encounter_index: str
    unit: str | None
    made_at: int
    status: str
    probability: float | None
    band: str | None
    model: str
    version: str
    score_sealed: bytes
    refused: bool | None = None
    """Not scored because the patient said no, or nobody can tell; None before version 0002."""
    row_sealed: bytes | None = None
    """The model's inputs by name; None where there was no risk, and before version 0005."""


def keep(connection: Connection, row: Row) -> None:
    """Keep a score."""
    connection.execute(_KEEP, msgspec.structs.asdict(row))


def keep_many(connection: Connection, rows: Sequence[Row]) -> None:
    """Keep scores, all in one statement."""
    if rows:
        connection.execute(insert(SCORES), [msgspec.structs.asdict(row) for row in rows])


def by_id(connection: Connection, score_id: str) -> Row | None:
    """A score; None where there is none of that id."""
    found = connection.execute(select(SCORES).where(SCORES.c.id == score_id)).one_or_none()
    return None if found is None else Row(**found._mapping)


def is_refused(connection: Connection, patient_index: str) -> bool:
    """Whether the newest answer about a patient was that they said no, or that nobody can tell.

    Then nothing that was kept of them is shown, until a newer answer says otherwise.
    """
    newest_first = (SCORES.c.made_at.desc(), SCORES.c.id.desc())
    theirs = select(SCORES.c.refused).where(SCORES.c.patient_index == patient_index)
    return bool(connection.execute(theirs.order_by(*newest_first).limit(1)).scalar())


def refused_among(connection: Connection, patients: Collection[str]) -> set[str]:
    """Of these patients (by the keyed index), those of whom ``is_refused`` holds."""
    ranked = (
        select(
            SCORES.c.patient_index,
            SCORES.c.refused,
            func.row_number()
            .over(
                partition_by=SCORES.c.patient_index,
                order_by=(SCORES.c.made_at.desc(), SCORES.c.id.desc()),
            )
            .label("place"),
        )
        .where(SCORES.c.patient_index.in_(list(patients)))
        .subquery()
    )
    newest = select(ranked.c.patient_index).where(ranked.c.place == 1, ranked.c.refused)
    return set(connection.execute(newest).scalars())


def of_patient(
    connection: Connection,
    patient_index: str,
    *,
    units: Collection[str] | None,
    after: str | None,
    limit: int,
) -> list[Row]:
    """Scores of one patient, the newest first.

    Args:
        connection: to the database.
        patient_index: the patient, by the keyed index.
        units: only those of stays in these units; None for all, of unknown units too.
        after: only those that come after the score of this id; none where it is none of these.
        limit: at most so many.
    """
    wanted: list[ColumnElement[bool]] = [SCORES.c.patient_index == patient_index]
    if units is not None:
        wanted.append(SCORES.c.unit.in_(sorted(units)))
    if after is not None:
        behind = select(SCORES.c.made_at, SCORES.c.id).where(SCORES.c.id == after, *wanted)
        wanted.append(tuple_(SCORES.c.made_at, SCORES.c.id) < behind.scalar_subquery())
    newest_first = (SCORES.c.made_at.desc(), SCORES.c.id.desc())
    found = connection.execute(select(SCORES).where(*wanted).order_by(*newest_first).limit(limit))
    return [Row(**row._mapping) for row in found]


def newest_of_each_stay(
    connection: Connection, patient_index: str, *, units: Collection[str] | None, limit: int
) -> list[Row]:
    """The newest score of each encounter of one patient, the newest first.

    Args:
        connection: to the database.
        patient_index: the patient, by the keyed index.
        units: only those of stays in these units; None for all, of unknown units too.
        limit: at most so many.
    """
    wanted: list[ColumnElement[bool]] = [SCORES.c.patient_index == patient_index]
    if units is not None:
        wanted.append(SCORES.c.unit.in_(sorted(units)))
    newest_first = (SCORES.c.made_at.desc(), SCORES.c.id.desc())
    place = func.row_number().over(partition_by=SCORES.c.encounter_index, order_by=newest_first)
    placed = select(SCORES.c.id, place.label("place")).where(*wanted).subquery()
    newest = select(placed.c.id).where(placed.c.place == 1)
    query = select(SCORES).where(SCORES.c.id.in_(newest)).order_by(*newest_first).limit(limit)
    return [Row(**row._mapping) for row in connection.execute(query)]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which scores of one patient a search is about. Stays that were not scored are none of them.

    ``units`` is None for all, of unknown units too; the moments are microseconds UTC.
    """

    patient_index: str
    units: Collection[str] | None
    encounter_index: str | None = None
    id: str | None = None
    made_from: int | None = None
    made_before: int | None = None


def search(connection: Connection, wanted: Wanted, *, after: str | None, limit: int) -> list[Row]:
    """The scores that are wanted, the newest first.

    Args:
        connection: to the database.
        wanted: which.
        after: only those that come after the score of this id; none where it is none of these.
        limit: at most so many.
    """
    conditions = _conditions(wanted)
    if after is not None:
        behind = select(SCORES.c.made_at, SCORES.c.id).where(SCORES.c.id == after, *conditions)
        conditions.append(tuple_(SCORES.c.made_at, SCORES.c.id) < behind.scalar_subquery())
    newest_first = (SCORES.c.made_at.desc(), SCORES.c.id.desc())
    query = select(SCORES).where(*conditions).order_by(*newest_first).limit(limit)
    return [Row(**row._mapping) for row in connection.execute(query)]


def count(connection: Connection, wanted: Wanted) -> int:
    """How many scores are wanted."""
    query = select(func.count()).select_from(SCORES).where(*_conditions(wanted))
    return connection.execute(query).scalar_one()


def of_encounter(connection: Connection, encounter_index: str) -> list[Row]:
    """One score of each patient who has any of this encounter, of two patients at most.

    An Encounter has one patient; ids of two servers may be the same.
    """
    each = (
        select(func.min(SCORES.c.id))
        .where(SCORES.c.encounter_index == encounter_index)
        .group_by(SCORES.c.patient_index)
        .limit(2)
    )
    found = connection.execute(select(SCORES).where(SCORES.c.id.in_(each)))
    return [Row(**row._mapping) for row in found]


def of_stay(
    connection: Connection,
    patient_index: str,
    encounter_indexes: Collection[str],
    *,
    or_id: str | None = None,
) -> list[Row]:
    """The scores of some encounters of one patient, the newest first.

    Args:
        connection: to the database.
        patient_index: the patient, by the keyed index.
        encounter_indexes: those of one stay, each by the keyed index.
        or_id: of a score of this patient that is given as well, whatever stay it is of.
    """
    theirs = SCORES.c.encounter_index.in_(sorted(encounter_indexes)) | (SCORES.c.id == or_id)
    newest_first = (SCORES.c.made_at.desc(), SCORES.c.id.desc())
    query = select(SCORES).where(SCORES.c.patient_index == patient_index, theirs)
    return [Row(**row._mapping) for row in connection.execute(query.order_by(*newest_first))]


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        SCORES.c.patient_index == wanted.patient_index,
        SCORES.c.status == "scored",
    ]
    if wanted.units is not None:
        conditions.append(SCORES.c.unit.in_(sorted(wanted.units)))
    if wanted.encounter_index is not None:
        conditions.append(SCORES.c.encounter_index == wanted.encounter_index)
    if wanted.id is not None:
        conditions.append(SCORES.c.id == wanted.id)
    if wanted.made_from is not None:
        conditions.append(SCORES.c.made_at >= wanted.made_from)
    if wanted.made_before is not None:
        conditions.append(SCORES.c.made_at < wanted.made_before)
    return conditions
