"""From the chart that is open to the score that its page shows, with the stays before it.

The records are fetched with the user's own access, so that nobody sees here what the EHR would not
show them. A stay that has ended is scored once, as of its end; one that is under way anew at each
launch, unless the person comes from the card of a score: they see the score that they clicked on.
"""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from fhir_mappings.eligibility import WITHOUT_CONSENT
from fhir_mappings.errors import ReadmitError, UnprocessableError
from fhir_mappings.records.instants import from_datetime
from fhir_mappings.stays import Stay
from service.cds_hooks.prefetch import LackingDataError, Prefetched
from service.cds_hooks.records import gathered
from service.cds_hooks.services import PREFETCH
from service.database.scores import Row
from service.fhir_servers.client import FHIRServer
from service.identity.caller import Caller
from service.kept_scores import Sight, keep_score, sight, stay_scores
from service.score import NotScored, Score
from service.score_records import Asked, Record, ScoredRecord, read_record, score_record
from service.serving import Serving
from service.smart_launch.authorization import Chart

ROUTE: Final = "/launch/callback"

_SCORE_ID: Final = re.compile(r"[0-9a-f]{32}")


class ChartRecordsError(ReadmitError):
    """The EHR does not give the records of the chart that it opened."""

    status = 502
    title = "The EHR does not give the records"


class NoStayError(ReadmitError):
    """The chart holds no hospital stay, so there is no risk of coming back."""

    status = 422
    title = "No hospital stay"


class AnotherPatientError(ReadmitError):
    """The records that the EHR gives are not those of the patient whose chart it opened."""

    status = 502
    title = "Records of another patient"


class Opened(NamedTuple):
    """What the page of a launch is to show."""

    score_id: str
    scored: int
    """How many stays were scored on the way."""


async def bundle_of(here: Serving, chart: Chart) -> bytes:
    """The records of a chart: what our services have prefetched, fetched with the user's access.

    Raises:
        ChartRecordsError: if the EHR does not give them all within the deadline.
    """
    server = FHIRServer(
        chart.server.url, chart.token, vouched=chart.server.addresses, breaker=here.breaker
    )
    nothing = Prefetched({}, tuple(PREFETCH), {})
    try:
        return await gathered(
            nothing,
            {"context.patientId": chart.patient},
            server,
            within=here.settings.launch_deadline_seconds,
        )
    except LackingDataError:
        raise ChartRecordsError("Try again from the patient's chart.") from None


def score_chart(here: Serving, caller: Caller, chart: Chart, bundle: bytes) -> Opened:
    """Score what is not scored yet, the stay of the chart last, and say which score to show.

    Each score is kept and entered in the audit by itself, as every score is.

    Raises:
        AnotherPatientError: if the records are not of the chart's patient.
        NoStayError: if they hold no stay that has begun.
        NotFHIRError: if they are no FHIR at all.
        UnprocessableError: if they hold no patient's records, or those of several.
        ForbiddenError: if the stay is not for the caller.
        DatabaseError: if a score cannot be kept, or entered in the audit.
    """
    record = read_record(here, bundle)
    if record.records.subject != chart.patient:
        raise AnotherPatientError("Nothing was opened. Tell whoever runs the service.")
    now = from_datetime(datetime.now(UTC))
    stays = sorted((one for one in record.timeline.stays if one.start <= now), key=_start)
    if not stays:
        raise NoStayError("This chart holds no hospital stay, so there is no risk to show.")
    stay = next((one for one in stays if chart.encounter in one.all_encounters), stays[-1])
    encounter = chart.encounter if chart.encounter in stay.all_encounters else None
    found = score_record(here, caller, record, stay, Asked(encounter))
    held = stay_scores(here.keeping, chart.patient, stay.all_encounters)
    if _refused(found.score):
        return Opened(_keep(here, found, stay), 1)
    before = [one for one in stays if one is not stay and one.end is not None and one.end <= now]
    scored = sum(_score_before(here, caller, record, one) for one in before)
    # After a refusal only a newer answer lifts it, so what was kept before it does not do.
    usable = [] if held.refused else [row for row in held.rows if _serves(here, row)]
    final = [row for row in usable if stay.end is not None and row.made_at >= stay.end]
    for row in (*(one for one in usable if one.id == chart.app_context), *final):
        return Opened(row.id, scored)
    return Opened(_keep(here, found, stay), scored + 1)


def kept_of(here: Serving, chart: Chart) -> str | None:
    """The score to show where no records came: the card's, or the newest of the encounter."""
    context = chart.app_context or ""
    wanted = context if _SCORE_ID.fullmatch(context) else None
    encounters = () if chart.encounter is None else (chart.encounter,)
    held = stay_scores(here.keeping, chart.patient, encounters, or_id=wanted)
    named = next((row.id for row in held.rows if row.id == wanted), None)
    return named or next((row.id for row in held.rows), None)


def _score_before(here: Serving, caller: Caller, record: Record, stay: Stay) -> int:
    """Score an earlier stay, as of its end, if that was not done and the caller may see it."""
    held = stay_scores(here.keeping, record.records.subject, stay.all_encounters)
    if any(_serves(here, row) and row.made_at >= (stay.end or 0) for row in held.rows):
        return 0
    seen = sight(here.keeping, caller, "c", patient=record.records.subject, unit=stay.site)
    if not isinstance(seen, Sight):
        return 0
    try:
        found = score_record(here, caller, record, stay, Asked())
    except UnprocessableError:
        return 0  # a value of then is beyond computing: the course lacks a point, and no more
    _keep(here, found, stay)
    return 1


def _serves(here: Serving, row: Row) -> bool:
    """Whether a score that is kept is of the model in use, and of its population."""
    model = here.model
    return (row.model, row.version) == (model.name, model.version) and not row.refused


def _keep(here: Serving, found: ScoredRecord, stay: Stay) -> str:
    kept = keep_score(
        here.keeping,
        found.sight.caller,
        found.score,
        unit=stay.site,
        route=ROUTE,
        row=found.row,
    )
    here.metrics.scored(kept.score)
    return str(kept.score.score_id)


def _refused(score: Score) -> bool:
    return isinstance(score, NotScored) and score.reason.code in WITHOUT_CONSENT


def _start(stay: Stay) -> int:
    return stay.start
