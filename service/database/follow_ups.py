"""How far each stay has been worked, and every change on the way there."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.database.engine import DatabaseError
from service.database.tables import FOLLOW_UP_CHANGES, FOLLOW_UPS, WORK_LIST


class StayRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stay without its follow-up: whom it is about, and whose it is to see."""

    stay_index: str
    patient_index: str
    patient_sealed: bytes
    unit: str | None
    score_id: str | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stay has been worked. ``changed_at`` is microseconds UTC."""

    stay_index: str
    patient_index: str
    status: str
    assigned_to: str | None
    due_on: str | None
    version: int
    changed_at: int
    changed_by: str
    """``issuer|subject``."""


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change: who made it, and what the follow-up was afterwards."""

    id: str
    stay_index: str
    version: int
    at: int
    """Microseconds UTC; never before the change that it follows."""
    by: str
    status: str
    assigned_to: str | None
    due_on: str | None
    reason: str | None
    note_sealed: bytes | None


class Step(msgspec.Struct, frozen=True):
    """What a change made of a follow-up, for whoever counts and needs to know no more."""

    stay_index: str
    at: int
    """Microseconds UTC."""
    status: str
    reason: str | None


def stay_of(connection: Connection, stay_index: str) -> StayRow | None:
    """A stay of the work list, or an earlier one of a patient on it that was worked; else None.

    The list has a patient's latest stay. The unit of an earlier one is not known any more.
    """
    columns = (WORK_LIST.c.patient_index, WORK_LIST.c.patient_sealed)
    found = connection.execute(
        select(*columns, WORK_LIST.c.unit, WORK_LIST.c.score_id).where(
            WORK_LIST.c.stay_index == stay_index
        )
    ).one_or_none()
    if found is not None:
        return StayRow(stay_index=stay_index, **found._mapping)
    earlier = connection.execute(
        select(*columns)
        .join(FOLLOW_UPS, FOLLOW_UPS.c.patient_index == WORK_LIST.c.patient_index)
        .where(FOLLOW_UPS.c.stay_index == stay_index)
    ).one_or_none()
    if earlier is None:
        return None
    return StayRow(stay_index=stay_index, unit=None, score_id=None, **earlier._mapping)


def of_stay(connection: Connection, stay_index: str) -> Row | None:
    """How far a stay has been worked; None where nobody has begun."""
    made_it = (FOLLOW_UP_CHANGES.c.stay_index == FOLLOW_UPS.c.stay_index) & (
        FOLLOW_UP_CHANGES.c.version == FOLLOW_UPS.c.version
    )
    # One statement: between two, somebody else could change it, and would be taken for the other.
    found = connection.execute(
        select(FOLLOW_UPS, FOLLOW_UP_CHANGES.c.by.label("changed_by"))
        .join(FOLLOW_UP_CHANGES, made_it)
        .where(FOLLOW_UPS.c.stay_index == stay_index)
    ).one_or_none()
    return None if found is None else Row(**found._mapping)


def changes_of(connection: Connection, stay_index: str) -> list[ChangeRow]:
    """Every change to the follow-up of a stay, the first one first."""
    found = connection.execute(
        select(FOLLOW_UP_CHANGES)
        .where(FOLLOW_UP_CHANGES.c.stay_index == stay_index)
        .order_by(FOLLOW_UP_CHANGES.c.version)
    )
    return [ChangeRow(**row._mapping) for row in found]


def people(connection: Connection, since: int) -> list[str]:
    """Who has changed a follow-up since a moment, or has a patient: ``issuer|subject``."""
    by = select(FOLLOW_UP_CHANGES.c.by).where(FOLLOW_UP_CHANGES.c.at >= since)
    having = select(FOLLOW_UPS.c.assigned_to).where(
        FOLLOW_UPS.c.assigned_to.is_not(None), FOLLOW_UPS.c.changed_at >= since
    )
    return sorted(connection.execute(by.union(having)).scalars())


def steps_of(connection: Connection, stays: Sequence[str]) -> dict[str, list[Step]]:
    """The changes to the follow-ups of some stays, each stay's first one first.

    Args:
        connection: to the database.
        stays: their keyed names; as many as fit one statement.
    """
    columns = (FOLLOW_UP_CHANGES.c[name] for name in Step.__struct_fields__)
    rows = connection.execute(
        select(*columns)
        .where(FOLLOW_UP_CHANGES.c.stay_index.in_(stays))
        .order_by(FOLLOW_UP_CHANGES.c.stay_index, FOLLOW_UP_CHANGES.c.version)
    )
    found: dict[str, list[Step]] = {}
    for row in rows:
        found.setdefault(row.stay_index, []).append(Step(*row))
    return found


def enter(connection: Connection, change: ChangeRow, patient_index: str) -> bool:
    """Enter the next version of a follow-up; False where somebody else was first with it.

    Raises:
        DatabaseError: if follow-up and changes do not fit each other.
    """
    try:
        # A savepoint: after a refused row, PostgreSQL takes nothing more in the same transaction,
        # and what the follow-up has become is still to be read.
        with connection.begin_nested():
            connection.execute(insert(FOLLOW_UP_CHANGES).values(msgspec.structs.asdict(change)))
            _follow(connection, change, patient_index)
    except IntegrityError:
        return False
    return True


def _follow(connection: Connection, change: ChangeRow, patient_index: str) -> None:
    after = {
        "status": change.status,
        "assigned_to": change.assigned_to,
        "due_on": change.due_on,
        "version": change.version,
        "changed_at": change.at,
    }
    if change.version == 1:
        named = {"stay_index": change.stay_index, "patient_index": patient_index}
        connection.execute(insert(FOLLOW_UPS).values(**named, **after))
        return
    done = connection.execute(
        update(FOLLOW_UPS)
        .where(
            FOLLOW_UPS.c.stay_index == change.stay_index,
            FOLLOW_UPS.c.version == change.version - 1,
        )
        .values(**after)
    )
    if done.rowcount != 1:
        raise DatabaseError("a follow-up is not at the version of its last change")
