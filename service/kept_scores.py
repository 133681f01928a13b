"""Scores as they are kept and read again: by whom, how much, and never without the audit."""

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from fhir_mappings.eligibility import WITHOUT_CONSENT
from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import as_datetime, from_datetime
from service.audit.ledger import Entry, Work
from service.audit.vocabulary import Event
from service.database import scores
from service.identity.break_glass import through_glass
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError, WhyRefused
from service.identity.reach import reach_of
from service.keeping import Keeping
from service.protection.keys import Keys
from service.protection.sealing import index_of, seal, unseal
from service.score import NotScored, Score, Scored, encoded
from service.score_list import PatientScores, ScoreSummary
from service.views import ROLE_VIEWS, View, seen, view_of

RESOURCE: Final = "RiskAssessment"
"""What a score is in FHIR, and in scopes."""

SCORE_CONTEXT: Final = "scores.score"
ROW_CONTEXT: Final = "scores.row"

Inputs = Mapping[str, float | None]
"""The model's inputs by the names of its features; None where the record has no value."""

_PSEUDONYM: Final = re.compile(r"[0-9a-f]{64}")
"""What ``index_of`` gives."""

MOST_LISTED: Final = 100
"""How many scores one list may hold."""


class ScoreNotFoundError(ReadmitError):
    """There is no such score, or the caller may not see it: the answer is the same.

    It would otherwise tell who is a patient here.
    """

    status = 404
    title = "No such score"

    def __init__(self, message: str = "There is no such score, or it is not for you.") -> None:
        super().__init__(message)


class Sight(NamedTuple):
    """How somebody sees the scores of one patient in one unit."""

    view: View
    caller: Caller
    """With the purpose of an emergency where the glass was needed."""


class KeptScore(NamedTuple):
    """A score that is kept, as somebody sees it."""

    score: Score
    made_at: datetime
    """When it was given, UTC: in a view without identity only its year may be told."""
    view: View = View.WHOLE


class FoundScore(NamedTuple):
    """A score that somebody may see, before it is shown and entered in the audit."""

    row: scores.Row
    score: Score
    """The whole of it, whatever they see of it."""
    sight: Sight


def sight(
    keeping: Keeping,
    caller: Caller,
    permission: str,
    *,
    patient: str,
    unit: str | None,
    resource: str = RESOURCE,
) -> Sight | WhyRefused:
    """How a caller sees a stay of one unit, or why they do not.

    Args:
        keeping: the database and the keys.
        caller: who asks; their role or scope for this access is checked already.
        permission: of ``cruds``, to that resource.
        patient: the Patient's id.
        unit: the unit of the stay; None where it is not known.
        resource: as what the stay is seen: by its score, or by another type of ``scopes``.
    """
    reach = reach_of(caller, resource, permission)
    if not reach.covers_patient(patient):
        return "patient"
    view = view_of(reach.roles_in(unit), is_system=reach.is_system)
    if view is not View.WHOLE:
        emergency = through_glass(keeping, caller, patient)
        wider = view_of(reach.roles)
        if emergency is not None and wider is not None:
            return Sight(wider, emergency)
    return "unit" if view is None else Sight(view, caller)


def sight_before_scoring(
    keeping: Keeping, caller: Caller, *, patient: str, unit: str | None
) -> Sight:
    """How a caller will see a score that is not made yet.

    Raises:
        ForbiddenError: if the stay is of another unit than theirs, or of another patient than the
            token is for.
    """
    found = sight(keeping, caller, "c", patient=patient, unit=unit)
    if isinstance(found, Sight):
        return found
    words = "The stay is not of a unit of the caller's."
    if found == "patient":
        words = "The access is for another patient."
    raise ForbiddenError(words, why=found, patient=patient)


def keep_score(
    keeping: Keeping,
    caller: Caller,
    score: Score,
    *,
    unit: str | None,
    route: str,
    row: Inputs | None = None,
    beside: Callable[[Work, Score], None] | None = None,
) -> KeptScore:
    """Keep a score and enter it in the audit, both or neither; give it with its id.

    Args:
        keeping: the database, the keys and the audit.
        caller: whom it is given to.
        score: without an id.
        unit: of the stay.
        route: the template of the path.
        row: what the model went by; without it, nobody can ask later what if it were otherwise.
        beside: what belongs in the same transaction, given the score with its id.

    Raises:
        DatabaseError: if it cannot be kept: then it must not be answered.
        AuditError: if the audit's anchor cannot be written: likewise.
    """
    kept = msgspec.structs.replace(score, score_id=secrets.token_hex(16))
    made_at = datetime.now(UTC)
    with keeping.audit.recorded() as work:
        scores.keep(work.connection, row_of(keeping.keys, kept, unit, made_at, row))
        work.record(given(kept, unit, caller=caller, route=route))
        if beside is not None:
            beside(work, kept)
    return KeptScore(kept, made_at)


def read_score(
    keeping: Keeping,
    caller: Caller,
    score_id: str,
    *,
    opted_out: Collection[str],
    route: str,
    only_scored: bool = False,
) -> KeptScore:
    """A score that was given before, as the caller sees it; the audit has it before they do.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        score_id: the score's id.
        opted_out: the patients on the site's list. What they were told before is not shown either;
            nor is it where the newest answer about a patient was a Consent's refusal.
        route: the template of the path.
        only_scored: whether a stay that was not scored counts as none.

    Raises:
        ScoreNotFoundError: if there is none, or none for this caller.
        DatabaseError: if it cannot be read, or entered in the audit.
    """
    found = find_score(
        keeping, caller, score_id, opted_out=opted_out, route=route, only_scored=only_scored
    )
    sight = found.sight
    keeping.audit.record(
        Entry(
            event=Event.SCORE_READ,
            caller=sight.caller,
            patient=found.score.subject,
            route=route,
            details={"score_id": score_id, "view": sight.view.value},
        )
    )
    shown = seen(found.score, sight.view, keeping.keys)
    return KeptScore(shown, as_datetime(found.row.made_at), sight.view)


def find_score(
    keeping: Keeping,
    caller: Caller,
    score_id: str,
    *,
    opted_out: Collection[str],
    route: str,
    only_scored: bool = False,
) -> FoundScore:
    """A score that the caller may see. Whoever shows anything of it enters that in the audit.

    What it takes and raises is as of ``read_score``; that somebody is turned away is entered here.
    """
    with keeping.database.reading() as connection:
        row = scores.by_id(connection, score_id)
        refused = row is not None and scores.is_refused(connection, row.patient_index)
    if row is None or (only_scored and row.status != Scored.status):
        refuse(keeping, caller, "r", "unknown", patient=None, route=route)
        raise ScoreNotFoundError
    score = opened(keeping.keys, row)
    found = sight(keeping, caller, "r", patient=score.subject, unit=row.unit)
    if isinstance(found, Sight) and (refused or score.subject in opted_out):
        found = "opted_out"
    if not isinstance(found, Sight):
        refuse(keeping, caller, "r", found, patient=score.subject, route=route)
        raise ScoreNotFoundError
    return FoundScore(row, score, found)


def list_scores(
    keeping: Keeping,
    caller: Caller,
    patient: str,
    *,
    opted_out: Collection[str],
    after: str | None,
    limit: int,
    route: str,
) -> PatientScores:
    """The scores of one patient that the caller may see, the newest first.

    Whoever sees patients by pseudonym asks by pseudonym: an answer to a patient's own id would tell
    whose pseudonym it is.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        patient: the Patient's id, or the pseudonym.
        opted_out: as for ``read_score``.
        after: the id of a score of this list, to go on behind it.
        limit: at most so many.
        route: the template of the path.

    Raises:
        ScoreNotFoundError: if there is no score of this patient, or none for this caller.
        DatabaseError: if they cannot be read, or entered in the audit.
    """
    reading = reading_of(keeping, caller, patient)
    with keeping.database.reading() as connection:
        rows = scores.of_patient(
            connection, reading.patient_index, units=reading.units, after=after, limit=limit + 1
        )
        known = bool(rows) or scores.of_patient(
            connection, reading.patient_index, units=None, after=None, limit=1
        )
        refused = scores.is_refused(connection, reading.patient_index)
    shown = [(row, opened(keeping.keys, row)) for row in rows[:limit]]
    subject = shown[0][1].subject if shown else patient if reading.view is View.WHOLE else None
    why: WhyRefused | None = None
    if not reading.covers:
        why = "patient"
    elif not shown:
        why = "unit" if known else "unknown"
    elif refused or subject in opted_out:
        why = "opted_out"
    if why is not None:
        refuse(keeping, caller, "s", why, patient=subject, route=route)
        raise ScoreNotFoundError
    keeping.audit.record(
        Entry(
            event=Event.SCORES_LISTED,
            caller=reading.caller,
            patient=subject,
            route=route,
            details={"count": len(shown), "view": reading.view.value},
        )
    )
    listed = PatientScores(
        patient=shown[0][1].subject,
        scores=tuple(_summary(row, score) for row, score in shown),
        next=rows[limit - 1].id if len(rows) > limit else None,
    )
    return seen(listed, reading.view, keeping.keys)


class Reading(NamedTuple):
    """How a caller reads the list of one patient."""

    patient_index: str
    view: View
    units: frozenset[str] | None
    covers: bool
    caller: Caller


def reading_of(keeping: Keeping, caller: Caller, patient: str) -> Reading:
    """How a caller reads the list of one patient, whom they name as their view names patients."""
    reach = reach_of(caller, RESOURCE, "s")
    view = view_of(reach.roles, is_system=reach.is_system) or View.WITHOUT_IDENTITY
    # Of another form it is nobody's; on a NUL PostgreSQL would fail, and that is no 404.
    index = patient if _PSEUDONYM.fullmatch(patient) else ""
    covers = reach.patient is None or index_of(keeping.keys, "patient", reach.patient) == patient
    if view is View.WHOLE:
        index = index_of(keeping.keys, "patient", patient)
        covers = reach.covers_patient(patient)
    # Roles with a narrower view show no stay that the wider ones do not reach: the two kinds of
    # name side by side would tell whose pseudonym it is.
    seeing = reach._replace(roles=frozenset(r for r in reach.roles if ROLE_VIEWS[r] is view))
    if seeing.covers_unit(None):
        return Reading(index, view, None, covers, caller)
    emergency = through_glass(keeping, caller, patient) if view is View.WHOLE else None
    if emergency is not None:
        return Reading(index, view, None, covers, emergency)
    return Reading(index, view, reach.own_units, covers, caller)


class StayScores(NamedTuple):
    """What is kept of one stay, for whoever decides whether to score it again. Shown to nobody."""

    rows: list[scores.Row]
    """The newest first."""
    refused: bool
    """Whether the newest answer about the patient was that they said no, or nobody can tell."""


def stay_scores(
    keeping: Keeping, patient: str, encounters: Collection[str], *, or_id: str | None = None
) -> StayScores:
    """The scores that are kept of a patient's encounters, without opening them.

    Args:
        keeping: the database and the keys.
        patient: the Patient's id.
        encounters: the ids of the encounters of one stay.
        or_id: the id of a score that is given as well if it is this patient's.

    Raises:
        DatabaseError: if they cannot be read.
    """
    keys = keeping.keys
    index = index_of(keys, "patient", patient)
    with keeping.database.reading() as connection:
        found = scores.of_stay(
            connection,
            index,
            [index_of(keys, "encounter", one) for one in encounters],
            or_id=or_id,
        )
        return StayScores(found, scores.is_refused(connection, index))


def opened(keys: Keys, row: scores.Row) -> Score:
    """The whole of a score that is kept.

    Raises:
        KeysError: if it was sealed with another key, or was changed.
    """
    text = unseal(keys, row.score_sealed, SCORE_CONTEXT)
    return msgspec.json.decode(text, type=Scored | NotScored)


def inputs_of(keys: Keys, row: scores.Row) -> Inputs | None:
    """What the model went by; None where it was not kept.

    Raises:
        KeysError: if it was sealed with another key, or was changed.
    """
    if row.row_sealed is None:
        return None
    return msgspec.json.decode(
        unseal(keys, row.row_sealed, ROW_CONTEXT), type=dict[str, float | None]
    )


def refuse(
    keeping: Keeping,
    caller: Caller,
    permission: str,
    why: WhyRefused,
    *,
    patient: str | None,
    route: str,
    resource: str = RESOURCE,
) -> None:
    """Enter that somebody was turned away who is only told that there is nothing."""
    keeping.audit.record(
        Entry(
            event=Event.ACCESS_REFUSED,
            caller=caller,
            outcome="refused",
            patient=patient,
            route=route,
            details={"needed": f"{resource}.{permission}", "why": why},
        )
    )


def row_of(
    keys: Keys, score: Score, unit: str | None, made_at: datetime, inputs: Inputs | None
) -> scores.Row:
    """A score as it is kept.

    Args:
        keys: the operator's.
        score: with its id.
        unit: of the stay.
        made_at: when it is given.
        inputs: what the model went by; None where there is no risk.

    """
    return scores.Row(
        id=_id_of(score),
        patient_index=index_of(keys, "patient", score.subject),
        encounter_index=index_of(keys, "encounter", score.encounter_id),
        unit=unit,
        made_at=from_datetime(made_at),
        status=score.status,
        probability=score.probability if isinstance(score, Scored) else None,
        band=score.band if isinstance(score, Scored) else None,
        model=score.model.name,
        version=score.model.version,
        score_sealed=seal(keys, encoded(score).decode(), SCORE_CONTEXT),
        refused=isinstance(score, NotScored) and score.reason.code in WITHOUT_CONSENT,
        row_sealed=None
        if inputs is None
        else seal(keys, msgspec.json.encode(inputs).decode(), ROW_CONTEXT),
    )


def given(score: Score, unit: str | None, *, caller: Caller | None, route: str | None) -> Entry:
    """The audit's entry of a score, with its id, that is kept in the same transaction.

    Args:
        score: what was given, or found not to be for the model.
        unit: of the stay.
        caller: to whom; None where a batch run scores for nobody in particular.
        route: the template of the path; None where nobody asked by one.

    """
    return Entry(
        event=Event.SCORE_GIVEN,
        caller=caller,
        patient=score.subject,
        route=route,
        details={
            "score_id": _id_of(score),
            "status": score.status,
            "model": score.model.name,
            "version": score.model.version,
            "unit": unit,
        },
    )


def _id_of(score: Score) -> str:
    assert isinstance(score.score_id, str)  # noqa: S101  it was given one to be kept by
    return score.score_id


def _summary(row: scores.Row, score: Score) -> ScoreSummary:
    return ScoreSummary(
        score_id=row.id,
        encounter_id=score.encounter_id,
        made_at=as_datetime(row.made_at).isoformat(timespec="seconds"),
        status=score.status,
        probability=row.probability,
        band=row.band,
        unit=row.unit,
        model=score.model,
    )
