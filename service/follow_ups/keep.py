"""Changing a follow-up and reading it: by whom, in one transaction, and never without the audit.

Whoever changes a follow-up names the version that they saw. If it is another by now, nothing is
written, and they are told what it is and who changed it: what they typed is still theirs to send
again. Of two who write the same version at once, the database lets one through.
"""

import secrets
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import msgspec

from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import as_datetime, from_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import follow_ups, scores
from service.follow_ups.follow_up import Change, FollowUp, FollowUpChange, changed, person_of
from service.follow_ups.statuses import Reason, Status
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError, WhyRefused
from service.keeping import Keeping
from service.kept_scores import RESOURCE as SCORE
from service.kept_scores import Sight, refuse, sight
from service.protection.keys import Keys
from service.protection.sealing import seal, unseal
from service.views import View

RESOURCE: Final = "Task"
"""What a follow-up is in FHIR, and in scopes."""
NOTE_CONTEXT: Final = "follow_up_changes.note"
PATIENT_CONTEXT: Final = "work_list.patient"


class FollowUpNotFoundError(ReadmitError):
    """There is no such stay, or the caller may not see it: the answer is the same."""

    status = 404
    title = "No such stay"

    def __init__(self, message: str = "There is no such stay, or it is not for you.") -> None:
        super().__init__(message)


class ConflictError(ReadmitError):
    """Somebody else changed the follow-up since the caller looked.

    Args:
        present: what it is now, by whom and since when: for the caller to see beside their own.
        wanted: what the caller wanted, so that nothing that they typed is lost.
    """

    status = 409
    title = "Somebody else was first"

    def __init__(self, present: FollowUp, wanted: Change) -> None:
        super().__init__("The follow-up was changed since it was looked at. Nothing was written.")
        self.present: Final = present
        self.wanted: Final = wanted


class Seen(NamedTuple):
    """A stay that a caller may see."""

    stay: follow_ups.StayRow
    patient: str
    caller: Caller
    """With the purpose of an emergency where the glass was needed."""


def change(
    keeping: Keeping,
    caller: Caller,
    stay: str,
    seen_version: int,
    change: Change,
    *,
    opted_out: Collection[str],
    route: str,
) -> FollowUp:
    """Change a follow-up and enter it in the audit, both or neither; what it is then.

    Args:
        keeping: the database, the keys and the audit.
        caller: who changes it.
        stay: the stay's keyed name (``work_list.stay_index``).
        seen_version: of the follow-up as the caller saw it; 0 where nobody had begun.
        change: what is wanted.
        opted_out: the patients on the site's list.
        route: the template of the path.

    Raises:
        ForbiddenError: if the caller may change no follow-up at all.
        FollowUpNotFoundError: if there is no such stay, or none for this caller.
        ConflictError: if it is of another version by now; nothing is written.
        FollowUpChangeError: if this cannot be done with it.
        DatabaseError: if it cannot be written, or entered in the audit.
    """
    seen = _seen(keeping, caller, stay, "u", opted_out=opted_out, route=route)
    try:
        return _written(keeping, seen, seen_version, change, route)
    except ConflictError as conflict:
        # It shows them what the follow-up is now: that, too, is a reading of it.
        _enter_reading(keeping, seen, conflict.present.version, "conflict", route)
        raise


def read(
    keeping: Keeping, caller: Caller, stay: str, *, opted_out: Collection[str], route: str
) -> FollowUp:
    """A follow-up as it is; the audit has it before the caller does.

    Args and errors as for ``change``.
    """
    seen = _seen(keeping, caller, stay, "r", opted_out=opted_out, route=route)
    with keeping.database.reading() as connection:
        present = _present(seen, follow_ups.of_stay(connection, stay))
    _enter_reading(keeping, seen, present.version, "present", route)
    return present


def history(
    keeping: Keeping, caller: Caller, stay: str, *, opted_out: Collection[str], route: str
) -> tuple[FollowUpChange, ...]:
    """Every change to a follow-up with its note, the first one first; likewise in the audit.

    Args and errors as for ``change``.
    """
    seen = _seen(keeping, caller, stay, "r", opted_out=opted_out, route=route)
    with keeping.database.reading() as connection:
        rows = follow_ups.changes_of(connection, stay)
    _enter_reading(keeping, seen, len(rows), "history", route)
    return tuple(_opened(keeping.keys, row) for row in rows)


class Whole(NamedTuple):
    """A follow-up with every change to it, the first one first."""

    present: FollowUp
    changes: tuple[FollowUpChange, ...]


def read_whole(
    keeping: Keeping, caller: Caller, stay: str, *, opted_out: Collection[str], route: str
) -> Whole:
    """A follow-up with its history, as of one moment; likewise in the audit.

    Args and errors as for ``change``.
    """
    seen = _seen(keeping, caller, stay, "r", opted_out=opted_out, route=route)
    whole = _whole(keeping, seen)
    _enter_reading(keeping, seen, whole.present.version, "history", route)
    return whole


def change_whole(
    keeping: Keeping,
    caller: Caller,
    stay: str,
    decide: Callable[[Whole], tuple[int, Change]],
    *,
    opted_out: Collection[str],
    route: str,
) -> Whole:
    """Change a follow-up by what its present state makes of a wish; what it is then.

    Args:
        keeping: the database, the keys and the audit.
        caller: who changes it.
        stay: the stay's keyed name.
        decide: gives the version that was seen, and the change.
        opted_out: the patients on the site's list.
        route: the template of the path.

    Raises: as ``change``, and what ``decide`` raises.
    """
    seen = _seen(keeping, caller, stay, "u", opted_out=opted_out, route=route)
    version, wanted = decide(_whole(keeping, seen))
    _written(keeping, seen, version, wanted, route)
    return _whole(keeping, seen)


def _whole(keeping: Keeping, seen: Seen) -> Whole:
    with keeping.database.reading() as connection:
        rows = follow_ups.changes_of(connection, seen.stay.stay_index)
        present = _present(seen, follow_ups.of_stay(connection, seen.stay.stay_index))
    # A change that came between the two questions would stand in one answer and not in the other.
    changes = tuple(_opened(keeping.keys, row) for row in rows if row.version <= present.version)
    return Whole(present, changes)


def _seen(
    keeping: Keeping,
    caller: Caller,
    stay: str,
    permission: str,
    *,
    opted_out: Collection[str],
    route: str,
) -> Seen:
    """The stay, if the caller may see its score and may do this to its follow-up."""
    for resource, needed in ((RESOURCE, permission), (SCORE, "r")):
        if not caller.may(resource, needed):
            raise ForbiddenError(f"This needs the scope {resource}.{needed}.", why="scope")
    with keeping.database.reading() as connection:
        found = follow_ups.stay_of(connection, stay)
        refused = found is not None and scores.is_refused(connection, found.patient_index)
    if found is None:
        refuse(keeping, caller, permission, "unknown", patient=None, route=route, resource=RESOURCE)
        raise FollowUpNotFoundError
    patient = unseal(keeping.keys, found.patient_sealed, PATIENT_CONTEXT)
    how = _sight(keeping, caller, permission, patient, found.unit)
    if isinstance(how, Sight) and (refused or patient in opted_out):
        how = "opted_out"
    if not isinstance(how, Sight):
        refuse(keeping, caller, permission, how, patient=patient, route=route, resource=RESOURCE)
        raise FollowUpNotFoundError
    return Seen(found, patient, how.caller)


def _sight(
    keeping: Keeping, caller: Caller, permission: str, patient: str, unit: str | None
) -> Sight | WhyRefused:
    """How the caller sees the stay: as its score, and as its follow-up by the roles for that."""
    score = sight(keeping, caller, "r", patient=patient, unit=unit)
    if not isinstance(score, Sight):
        return score
    own = sight(keeping, score.caller, permission, patient=patient, unit=unit, resource=RESOURCE)
    if isinstance(own, Sight) and own.view is not View.WHOLE:
        return "unit"  # a follow-up names its patient: there is no view of it that does not
    return own


def _written(
    keeping: Keeping, seen: Seen, seen_version: int, change: Change, route: str
) -> FollowUp:
    stay = seen.stay.stay_index
    with keeping.audit.recorded() as work:
        before = _present(seen, follow_ups.of_stay(work.connection, stay))
        if before.version != seen_version:
            raise ConflictError(before, change)
        after = _next(seen, before, changed(before, change))
        row = _row(keeping.keys, after, change)
        if not follow_ups.enter(work.connection, row, seen.stay.patient_index):
            raise ConflictError(_present(seen, follow_ups.of_stay(work.connection, stay)), change)
        work.record(
            Entry(
                event=Event.FOLLOW_UP_CHANGED,
                caller=seen.caller,
                patient=seen.patient,
                route=route,
                details={
                    "version": after.version,
                    "status": after.status.value,
                    "changed": _named(before, after, change),
                    "reason": row.reason,
                },
            )
        )
    return after


def _present(seen: Seen, row: follow_ups.Row | None) -> FollowUp:
    nobody_yet = FollowUp(
        stay=seen.stay.stay_index, patient=seen.patient, score_id=seen.stay.score_id
    )
    if row is None:
        return nobody_yet
    return msgspec.structs.replace(
        nobody_yet,
        status=Status(row.status),
        assigned_to=row.assigned_to,
        due_on=_day(row.due_on),
        version=row.version,
        changed_at=as_datetime(row.changed_at),
        changed_by=row.changed_by,
    )


def _next(seen: Seen, before: FollowUp, after: FollowUp) -> FollowUp:
    now = datetime.now(UTC)
    return msgspec.structs.replace(
        after,
        version=before.version + 1,
        # Clocks of several machines differ; a change never lies before the one that it follows.
        changed_at=now if before.changed_at is None else max(now, before.changed_at),
        changed_by=person_of(seen.caller),
    )


def _row(keys: Keys, after: FollowUp, change: Change) -> follow_ups.ChangeRow:
    assert after.changed_at is not None  # noqa: S101  it was just changed
    return follow_ups.ChangeRow(
        id=secrets.token_hex(16),
        stay_index=after.stay,
        version=after.version,
        at=from_datetime(after.changed_at),
        by=str(after.changed_by),
        status=after.status.value,
        assigned_to=after.assigned_to,
        due_on=None if after.due_on is None else after.due_on.isoformat(),
        reason=None if change.reason is None else change.reason.value,
        note_sealed=None if change.note is None else seal(keys, change.note, NOTE_CONTEXT),
    )


def _opened(keys: Keys, row: follow_ups.ChangeRow) -> FollowUpChange:
    note = row.note_sealed
    return FollowUpChange(
        version=row.version,
        at=as_datetime(row.at),
        by=row.by,
        status=Status(row.status),
        assigned_to=row.assigned_to,
        due_on=_day(row.due_on),
        reason=None if row.reason is None else Reason(row.reason),
        note=None if note is None else unseal(keys, note, NOTE_CONTEXT),
    )


def _named(before: FollowUp, after: FollowUp, change: Change) -> str:
    """What was changed, by name: never what it says."""
    fields = ("status", "assigned_to", "due_on")
    named = [name for name in fields if getattr(before, name) != getattr(after, name)]
    return " ".join([*named, *(["note"] if change.note is not None else [])])


def _enter_reading(keeping: Keeping, seen: Seen, version: int, what: str, route: str) -> None:
    keeping.audit.record(
        Entry(
            event=Event.FOLLOW_UP_READ,
            caller=seen.caller,
            patient=seen.patient,
            route=route,
            details={"version": version, "what": what},
        )
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
