"""What a page is about: one score, what the model went by, and the patient's other stays.

All of it is read at once and entered in the audit as one reading, before any of it is shown.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from fhir_mappings.records.instants import as_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import scores
from service.identity.caller import Caller
from service.keeping import Keeping
from service.kept_scores import (
    RESOURCE,
    FoundScore,
    Inputs,
    KeptScore,
    ScoreNotFoundError,
    find_score,
    inputs_of,
    opened,
    reading_of,
)
from service.protection.sealing import index_of
from service.score import Score
from service.views import View, seen

MOST_STAYS: Final = 12
"""How many stays the course shows: what fits the width of a phone and half a printed page."""


class StayScore(NamedTuple):
    """The newest score of one stay, as the caller sees it."""

    score_id: str
    score: Score
    is_here: bool
    """Whether it is of the stay that the page is about."""


class PageContents(NamedTuple):
    """One score, and what is shown beside it."""

    kept: KeptScore
    unit: str | None
    """Of the stay; None in a view without identity."""
    inputs: Inputs | None
    """What the model went by; None where it was not kept."""
    course: tuple[StayScore, ...]
    """The patient's stays that the caller may see, the earliest first."""

    @property
    def newer(self) -> str | None:
        """The id of a newer score of the same stay; None where this one is the newest."""
        here = next((one.score_id for one in self.course if one.is_here), None)
        return None if here == self.kept.score.score_id else here


def read_page(
    keeping: Keeping,
    caller: Caller,
    score_id: str,
    *,
    opted_out: Collection[str],
    route: str,
) -> PageContents:
    """What the page of a score shows to a caller; the audit has it before they do.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        score_id: the score's id.
        opted_out: as for ``service.kept_scores.read_score``.
        route: the template of the path.

    Raises:
        ScoreNotFoundError: if there is none, or none for this caller.
        DatabaseError: if it cannot be read, or entered in the audit.
    """
    found = find_score(keeping, caller, score_id, opted_out=opted_out, route=route)
    view = found.sight.view
    course = _course(keeping, caller, found)
    keeping.audit.record(
        Entry(
            event=Event.SCORE_READ,
            caller=found.sight.caller,
            patient=found.score.subject,
            route=route,
            details={
                "score_id": score_id,
                "view": view.value,
                "count": sum(not one.is_here for one in course),
            },
        )
    )
    return PageContents(
        KeptScore(seen(found.score, view, keeping.keys), as_datetime(found.row.made_at), view=view),
        found.row.unit if view is View.WHOLE else None,
        inputs_of(keeping.keys, found.row),
        course,
    )


def patient_of(keeping: Keeping, score_id: str) -> str:
    """Whose score it is, for whoever breaks the glass: nothing of it is shown.

    Raises:
        ScoreNotFoundError: if there is no such score.
    """
    with keeping.database.reading() as connection:
        row = scores.by_id(connection, score_id)
    if row is None:
        raise ScoreNotFoundError
    return opened(keeping.keys, row).subject


def _course(keeping: Keeping, caller: Caller, found: FoundScore) -> tuple[StayScore, ...]:
    """The newest score of each stay that the caller may list, in the order of their moments."""
    if not caller.may(RESOURCE, "s"):
        return ()
    view = found.sight.view
    named = found.score.subject if view is View.WHOLE else found.row.patient_index
    reading = reading_of(keeping, caller, named)
    # Of two views, the list is read by the wider alone: it must not tell whose pseudonym this is.
    if not reading.covers or reading.view is not view:
        return ()
    with keeping.database.reading() as connection:
        rows = scores.newest_of_each_stay(
            connection, reading.patient_index, units=reading.units, limit=MOST_STAYS
        )
    whole = sorted(
        ((opened(keeping.keys, row), row) for row in rows), key=lambda pair: _moment(pair[0])
    )
    here = index_of(keeping.keys, "encounter", found.score.encounter_id)
    return tuple(
        StayScore(row.id, seen(score, view, keeping.keys), row.encounter_index == here)
        for score, row in whole
    )


def _moment(score: Score) -> float:
    return datetime.fromisoformat(score.as_of).timestamp()
