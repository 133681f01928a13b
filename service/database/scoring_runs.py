"""Batch runs: one at a time is under way, and each says how far it has come."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from service.database.tables import SCORING_RUNS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A run; the moments are microseconds UTC."""

    id: str
    as_of: int
    """The moment that it scores patients in hospital as of."""
    model: str
    version: str
    began_at: int
    ended_at: int | None = None
    reached: int = 0
    """How many chunks of patients are done and committed."""
    counts: str = "{}"
    """JSON: how many patients were scored, left as they were and passed over, and why."""


def by_id(connection: Connection, run: str) -> Row | None:
    """A run; None where there is none of that id."""
    return _one(connection.execute(select(SCORING_RUNS).where(SCORING_RUNS.c.id == run)).first())


def unfinished(connection: Connection) -> Row | None:
    """The run that began and did not end."""
    found = select(SCORING_RUNS).where(SCORING_RUNS.c.ended_at.is_(None))
    return _one(connection.execute(found.order_by(SCORING_RUNS.c.began_at.desc())).first())


def newest(connection: Connection) -> Row | None:
    """The run that ended last: whose list it is that is looked at."""
    found = select(SCORING_RUNS).where(SCORING_RUNS.c.ended_at.is_not(None))
    return _one(connection.execute(found.order_by(SCORING_RUNS.c.ended_at.desc())).first())


def begin(connection: Connection, run: Row) -> None:
    """Note that a run begins. What an earlier one left unfinished is given up."""
    connection.execute(delete(SCORING_RUNS).where(SCORING_RUNS.c.ended_at.is_(None)))
    connection.execute(insert(SCORING_RUNS).values(msgspec.structs.asdict(run)))


def advance(
    connection: Connection, run: str, *, reached: int, counts: str, ended_at: int | None = None
) -> bool:
    """Note that a run has done one chunk more, or that it ended.

    Returns False if it is not where the caller believes it is: then somebody else works on it or
    gave it up, and the transaction must not be committed.

    Args:
        connection: of the transaction that the chunk is kept in.
        run: its id.
        reached: how many chunks are done now.
        counts: JSON, of all chunks that are done.
        ended_at: when it ended; then no chunk is added.

    """
    before = reached if ended_at is not None else reached - 1
    done = connection.execute(
        update(SCORING_RUNS)
        .where(
            SCORING_RUNS.c.id == run,
            SCORING_RUNS.c.reached == before,
            SCORING_RUNS.c.ended_at.is_(None),
        )
        .values(reached=reached, counts=counts, ended_at=ended_at)
    )
    return done.rowcount == 1


def _one(found: object) -> Row | None:
    return None if found is None else Row(**found._mapping)  # type: ignore[attr-defined]  # a row
