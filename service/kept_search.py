"""A search in the scores that are kept, by patient, encounter, id and time: FHIR's way to ask."""

from collections.abc import Collection
from typing import Final, NamedTuple

from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import as_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import scores
from service.identity.caller import Caller
from service.identity.errors import WhyRefused
from service.identity.reach import reach_of
from service.keeping import Keeping
from service.kept_scores import RESOURCE, KeptScore, Reading, opened, reading_of, refuse
from service.protection.sealing import index_of
from service.views import View, seen, view_of


class SearchParameterError(ReadmitError):
    """A search parameter has a value, a modifier or a prefix that is not supported."""

    status = 400
    title = "The search parameters are not valid"


class SearchTooWideError(ReadmitError):
    """A search names nobody: it would read the scores of everybody."""

    status = 400
    title = "The search is too wide"


class Search(NamedTuple):
    """What is searched for; of ``patient``, ``encounter`` and ``id`` there is one at least.

    Whoever sees patients and encounters by pseudonym asks by pseudonym.
    """

    patient: str | None = None
    encounter: str | None = None
    id: str | None = None
    made_from: int | None = None
    """Microseconds UTC."""
    made_before: int | None = None
    by_years: bool = True
    """Whether no moment is finer than a year."""
    limit: int = 20
    """At most so many; 0 only counts."""
    after: str | None = None
    """The id of a score that was found: go on behind it."""


class Found(NamedTuple):
    """What a search found, as the caller sees it."""

    scores: tuple[KeptScore, ...]
    """The newest first."""
    total: int
    """How many there are on all pages."""
    next: str | None
    """What to go on behind; None at the end."""


NOTHING: Final = Found((), 0, None)
"""What is also answered where there is something, and it is not for the caller."""


def search_scores(
    keeping: Keeping,
    caller: Caller,
    search: Search,
    *,
    opted_out: Collection[str],
    route: str,
) -> Found:
    """The scores of one patient that a search is about, as far as the caller may see them.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        search: what for.
        opted_out: the patients on the site's list; whose newest answer was a Consent's refusal is
            not shown either.
        route: the template of the path.

    Raises:
        SearchTooWideError: if the search names nobody, or an encounter of two patients.
        SearchParameterError: if it asks for days of one who is shown years.
        DatabaseError: if they cannot be read, or entered in the audit.
    """
    reach = reach_of(caller, RESOURCE, "s")
    whole = view_of(reach.roles, is_system=reach.is_system) is View.WHOLE
    if not (whole or search.by_years):
        # By asking for one day after the other, they would learn what they are not shown.
        raise SearchParameterError("date: without identity, scores are found by years alone")
    patient = search.patient or _patient_of(keeping, search, whole=whole)
    if patient is None:
        refuse(keeping, caller, "s", "unknown", patient=None, route=route)
        return NOTHING
    reading = reading_of(keeping, caller, patient)
    why, subject = _refused(keeping, reading, patient, opted_out)
    if why is not None:
        refuse(keeping, caller, "s", why, patient=subject, route=route)
        return NOTHING
    wanted = _wanted(keeping, search, reading)
    with keeping.database.reading() as connection:
        total = scores.count(connection, wanted)
        rows = (
            scores.search(connection, wanted, after=search.after, limit=search.limit + 1)
            if search.limit
            else []
        )
    shown = rows[: search.limit]
    keeping.audit.record(
        Entry(
            event=Event.SCORES_LISTED,
            caller=reading.caller,
            patient=subject,
            route=route,
            details={"count": len(shown), "view": reading.view.value},
        )
    )
    return Found(
        tuple(
            KeptScore(
                seen(opened(keeping.keys, row), reading.view, keeping.keys),
                as_datetime(row.made_at),
                reading.view,
            )
            for row in shown
        ),
        total,
        shown[-1].id if len(rows) > len(shown) else None,
    )


def _patient_of(keeping: Keeping, search: Search, *, whole: bool) -> str | None:
    """The patient of a score or an encounter, as the caller would name them; None if unknown."""
    with keeping.database.reading() as connection:
        if search.id is not None:
            one = scores.by_id(connection, search.id)
            rows = [] if one is None else [one]
        elif search.encounter is not None:
            rows = scores.of_encounter(connection, _encounter(keeping, search.encounter, whole))
        else:
            raise SearchTooWideError("Name a patient, an encounter or an _id.")
    if len(rows) > 1:
        raise SearchTooWideError("There are two such encounters: name the patient too.")
    if not rows:
        return None
    return opened(keeping.keys, rows[0]).subject if whole else rows[0].patient_index


def _encounter(keeping: Keeping, encounter: str, whole: bool) -> str:
    return index_of(keeping.keys, "encounter", encounter) if whole else encounter


def _refused(
    keeping: Keeping, reading: Reading, patient: str, opted_out: Collection[str]
) -> tuple[WhyRefused | None, str | None]:
    """Why a caller is shown nothing of a patient, and who that is."""
    named = patient if reading.view is View.WHOLE else None
    if not reading.covers:
        return "patient", named
    with keeping.database.reading() as connection:
        mine = scores.of_patient(
            connection, reading.patient_index, units=reading.units, after=None, limit=1
        )
        known = mine or scores.of_patient(
            connection, reading.patient_index, units=None, after=None, limit=1
        )
        said_no = scores.is_refused(connection, reading.patient_index)
    if not mine:
        return ("unit" if known else "unknown"), named
    subject = opened(keeping.keys, mine[0]).subject
    return ("opted_out" if said_no or subject in opted_out else None), subject


def _wanted(keeping: Keeping, search: Search, reading: Reading) -> scores.Wanted:
    whole = reading.view is View.WHOLE
    return scores.Wanted(
        patient_index=reading.patient_index,
        units=reading.units,
        encounter_index=None
        if search.encounter is None
        else _encounter(keeping, search.encounter, whole),
        id=search.id,
        made_from=search.made_from,
        made_before=search.made_before,
    )
