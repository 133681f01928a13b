"""Reading the list: whom the caller may see, entered in the audit before it is shown."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from fhir_mappings.events import DAY
from fhir_mappings.records.instants import as_datetime, from_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import scores, work_list_search
from service.database.work_list_search import Filters, ListedRow, Place
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.reach import reach_of
from service.keeping import Keeping
from service.protection.keys import Keys
from service.protection.sealing import unseal
from service.work_list.rows import PATIENT_CONTEXT, summary_of
from service.work_list.wanted import Wanted, cursor

RESOURCE: Final = "List"
"""What the list is in FHIR, and in scopes."""

MOST_LISTED: Final = 500
"""Patients on one page: each of them is an entry in the audit."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One patient of the list."""

    patient: Annotated[str, Meta(description="The Patient's id.")]
    stay: Annotated[str, Meta(description="The stay, by a name of this service's own.")]
    score_id: Annotated[str, Meta(description="The score with its reasons: `GET /v1/scores/...`.")]
    unit: str | None
    condition: Annotated[str | None, Meta(description="The group of the main diagnosis.")]
    age: int | None
    sex: str | None
    probability: Annotated[
        float, Meta(description="Risk for the thirty days after discharge, as a fraction.")
    ]
    band: str
    remaining: Annotated[
        float, Meta(description="Risk for the days that are left of them, as a fraction.")
    ]
    remaining_low: Annotated[
        float | None, Meta(description="Lower end of its 95 % interval; null where there is none.")
    ]
    remaining_high: float | None
    discharged_at: Annotated[
        str | None, Meta(description="UTC; null while the patient is in hospital.")
    ]
    days_since_discharge: Annotated[
        int | None, Meta(description="Whole days, at the moment of the list.")
    ]
    reasons: Annotated[tuple[str, ...], Meta(description="What raises the risk most.")]
    changeable: Annotated[tuple[str, ...], Meta(description="Of these, what can be changed.")]
    missing: Annotated[int, Meta(description="How many inputs the model missed.")]
    lace: int | None
    hospital: int | None
    status: str
    assigned_to: Annotated[str | None, Meta(description="`issuer|subject` of a person.")]
    due_on: str | None
    version: Annotated[int, Meta(description="Of the follow-up: name it when you change it.")]


class WorkListPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    as_of: Annotated[
        str | None, Meta(description="The moment of the last batch run; null before the first.")
    ]
    total: Annotated[int, Meta(description="How many patients the filters leave.")]
    patients: tuple[Listed, ...]
    next: Annotated[
        str | None, Meta(description="Send it as `after` for the next ones; null at the end.")
    ]


class Opened(NamedTuple):
    """A row of the list and what it says when opened."""

    row: ListedRow
    listed: Listed


def reaching(caller: Caller, filters: Filters, resource: str = RESOURCE) -> Filters:
    """Filters that leave what the caller may see.

    Args:
        caller: who asks; their role or scope for reading the resource is checked already.
        filters: as they were asked for.
        resource: as what the list is read: ``List``, or ``Group``.

    Raises:
        ForbiddenError: if their access is for one patient alone: a list shows the others' number.
    """
    reach = reach_of(caller, resource, "r")
    if reach.patient is not None:
        raise ForbiddenError("The access is for one patient; a list is of many.", why="patient")
    units = None if reach.covers_unit(None) else reach.own_units
    return msgspec.structs.replace(filters, reach=units)


def read_page(
    keeping: Keeping,
    caller: Caller,
    wanted: Wanted,
    *,
    opted_out: Collection[str],
    after: Place | None,
    limit: int,
    route: str,
    resource: str = RESOURCE,
) -> WorkListPage:
    """A page of the list as the caller may see it; the audit has each patient before they do.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        wanted: which patients, in which order.
        opted_out: the patients on the site's list: they are left out, though the run that made the
            list may not know of them yet. So is whose newest answer was a Consent's refusal.
        after: where the page before ended.
        limit: at most so many.
        route: the template of the path.
        resource: as what the list is read: ``List``, or ``Group``.

    Raises:
        ForbiddenError: if the caller's access is for one patient alone.
        DatabaseError: if the list cannot be read, or entered in the audit.
    """
    filters = reaching(caller, wanted.filters, resource)
    with keeping.database.reading() as connection:
        total = work_list_search.count(connection, filters)
        as_of = work_list_search.listed_as_of(connection)
        found = gather(
            connection, keeping.keys, wanted._replace(filters=filters), opted_out, after, limit + 1
        )
    shown = found[:limit]
    enter_read(keeping, caller, [one.listed for one in shown], route)
    following = None
    if len(found) > limit:
        following = cursor(wanted.sort, work_list_search.place_of(shown[-1].row, wanted.sort))
    return WorkListPage(
        as_of=None if as_of is None else _said(as_of),
        total=total,
        patients=tuple(one.listed for one in shown),
        next=following,
    )


def gather(
    connection: Connection,
    keys: Keys,
    wanted: Wanted,
    opted_out: Collection[str],
    after: Place | None,
    limit: int,
) -> list[Opened]:
    """The next patients of the list, opened, without those who said no since it was made.

    Args:
        connection: to the database.
        keys: the operator's.
        wanted: which patients, within the caller's reach.
        opted_out: the patients on the site's list.
        after: where to go on; None for the first.
        limit: at most so many.
    """
    now = _moment_of_the_list(connection)
    found: list[Opened] = []
    while len(found) < limit:
        lacking = limit - len(found)
        rows = work_list_search.page(
            connection, wanted.filters, wanted.sort, after=after, limit=lacking
        )
        found += _opened(connection, keys, rows, opted_out, now)
        if len(rows) < lacking:
            break
        after = work_list_search.place_of(rows[-1], wanted.sort)
    return found


def _opened(
    connection: Connection,
    keys: Keys,
    rows: Sequence[ListedRow],
    opted_out: Collection[str],
    now: int,
) -> list[Opened]:
    refused = scores.refused_among(connection, [row.patient_index for row in rows])
    found = []
    for row in rows:
        patient = unseal(keys, row.patient_sealed, PATIENT_CONTEXT)
        if row.patient_index not in refused and patient not in opted_out:
            found.append(Opened(row, _listed(keys, row, patient, now)))
    return found


def listed_stay(connection: Connection, keys: Keys, stay: str) -> Listed | None:
    """What the list says of one stay; None where it is not on it, or has left it.

    It checks and enters nothing: for whom it is read must have been let see the stay, and that must
    be in the audit.
    """
    row = work_list_search.find(connection, stay)
    if row is None:
        return None
    patient = unseal(keys, row.patient_sealed, PATIENT_CONTEXT)
    return _listed(keys, row, patient, _moment_of_the_list(connection))


def _moment_of_the_list(connection: Connection) -> int:
    """The moment of the last run: the risk that is left is of it, and so are the days at home."""
    as_of = work_list_search.listed_as_of(connection)
    return from_datetime(datetime.now(UTC)) if as_of is None else as_of


def enter_read(keeping: Keeping, caller: Caller, shown: Sequence[Listed], route: str) -> None:
    """Enter that the caller saw these patients on the list; each of them has an entry."""
    if not shown:
        return
    with keeping.audit.recorded() as work:
        for one in shown:
            work.record(
                Entry(
                    event=Event.WORK_LIST_READ,
                    caller=caller,
                    patient=one.patient,
                    route=route,
                    details={"score_id": one.score_id},
                )
            )


def _listed(keys: Keys, row: ListedRow, patient: str, now: int) -> Listed:
    said = summary_of(keys, row.summary_sealed)
    discharged = row.discharged_at
    return Listed(
        patient=patient,
        stay=row.stay_index,
        score_id=row.score_id,
        unit=row.unit,
        condition=row.condition_group,
        age=None if said is None else said.age,
        sex=None if said is None else said.sex,
        probability=row.probability,
        band=row.band,
        remaining=row.remaining,
        remaining_low=row.remaining_low,
        remaining_high=row.remaining_high,
        discharged_at=None if discharged is None else _said(discharged),
        days_since_discharge=None if discharged is None else max(0, (now - discharged) // DAY),
        reasons=() if said is None else said.raising,
        changeable=() if said is None else said.changeable,
        missing=0 if said is None else said.missing,
        lace=row.lace,
        hospital=row.hospital,
        status=row.status,
        assigned_to=row.assigned_to,
        due_on=row.due_on,
        version=row.version,
    )


def _said(moment: int) -> str:
    return as_datetime(moment).isoformat(timespec="seconds")
