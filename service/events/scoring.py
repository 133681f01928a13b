"""From an event to a kept score, and to what is to be written back: one transaction.

Records are fetched anew for each event, so that it does not matter in which order events come, or
how old they are: what is scored is what the EHR knows now.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fhir_mappings.errors import ReadmitError, UnprocessableError
from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Work
from service.cds_hooks.prefetch import as_bundle, resources_of, template
from service.cds_hooks.services import PREFETCH
from service.database import inbox
from service.events.attempts import GivenUpError
from service.events.notification import read_notification
from service.events.receiving import ENCOUNTER_CONTEXT, PASSED_OVER, receive
from service.events.servers import caller_of, named, opened
from service.events.writing import to_be_written
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import FHIRServer
from service.identity.issuers import PairedServer
from service.kept_scores import keep_score
from service.protection.sealing import index_of, unseal
from service.score import Score
from service.score_records import Asked, read_record, score_record
from service.scoring import choose_stay
from service.serving import Serving

ROUTE: Final = "Subscription"
"""What the audit has as the way that an event's score was asked for: it is no path."""

DONE: Final = "done"

_PATIENT: Final = re.compile(r"Patient/([A-Za-z0-9\-.]{1,64})")


class LeaseLostError(ReadmitError):
    """Another worker has the row now: what this one did with it does not count."""

    title = "Another worker has it"


class _Subject(msgspec.Struct):
    reference: str = ""


class _Encounter(msgspec.Struct, rename="camel"):
    resource_type: str
    subject: _Subject = msgspec.field(default_factory=_Subject)


async def work_on(here: Serving, owner: str, row: inbox.Row) -> None:
    """Do what an event asks for, and note that it is done.

    Raises:
        FHIRServerError: if the EHR's server does not give what is needed.
        EHRTokenError: if it gives no access.
        GivenUpError: if there is nothing to be done about it.
        LeaseLostError: if another worker has it; nothing was changed.
        DatabaseError: if it cannot be kept.
    """
    server = named(here, row.server)
    if row.encounter_sealed is None:
        await _recover(here, owner, row, server)
        return
    encounter = unseal(here.keeping.keys, row.encounter_sealed, ENCOUNTER_CONTEXT)
    # Before it is asked for: a change that comes in the meantime is not among what is known.
    known_at = from_datetime(datetime.now(UTC))
    async with opened(here, server) as asked:
        bundle = await _records(asked, server, encounter)
    await here.compute(lambda: _score(here, owner, row, server, bundle, encounter, known_at))


async def _records(asked: FHIRServer, server: PairedServer, encounter: str) -> bytes:
    """The records of the patient of an Encounter: what a CDS Hooks call would bring."""
    raw = await asked.read(f"Encounter/{encounter}")
    try:
        subject = msgspec.json.decode(raw, type=_Encounter).subject.reference
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise GivenUpError("unreadable") from None
    patient = _PATIENT.fullmatch(subject.removeprefix(server.url.rstrip("/") + "/"))
    if patient is None:
        raise GivenUpError("unreadable")
    resources: list[bytes] = []
    for query in PREFETCH.values():
        for page in await asked.search(template(query, {"context.patientId": patient[1]})):
            found = resources_of(page)
            if found is None:
                raise FHIRServerError("fhirServer: a search failed")
            resources += found
    return as_bundle(resources)


def _score(
    here: Serving,
    owner: str,
    row: inbox.Row,
    server: PairedServer,
    bundle: bytes,
    encounter: str,
    known_at: int,
) -> None:
    record = read_record(here, bundle)
    try:
        stay = choose_stay(record.timeline, encounter, None)
    except UnprocessableError:
        # A visit to the outpatient department ends, too.
        _end(here, owner, row, {"state": PASSED_OVER, "problem": None})
        return
    found = score_record(here, caller_of(server), record, stay, Asked(encounter))
    # Of one EHR: encounters of two may have the same id. A stay keeps its first encounter.
    of_the_ehr = "\0".join((server.issuer, record.records.subject, stay.encounters[0]))
    index = index_of(here.keeping.keys, "stay", of_the_ehr)

    def beside(work: Work, score: Score) -> None:
        if server.write_back:
            to_be_written(work.connection, row.server, index, score, known_at)
        if not inbox.end(work.connection, row.id, owner, {"state": DONE, "problem": None}):
            raise LeaseLostError("another worker has it")

    kept = keep_score(
        here.keeping,
        found.sight.caller,
        found.score,
        unit=stay.site,
        route=ROUTE,
        row=found.row,
        beside=beside,
    )
    here.metrics.scored(kept.score)


async def _recover(here: Serving, owner: str, gap: inbox.Row, server: PairedServer) -> None:
    """Ask for the events of a gap (R4 backport, ``Subscription/$events``), and enter them."""
    if await here.compute(lambda: _came_by_themselves(here, gap)):
        await here.compute(lambda: _end(here, owner, gap, {"state": DONE, "problem": None}))
        return
    query = (
        f"Subscription/{gap.subscription}/$events?eventsSinceNumber={gap.number}"
        f"&eventsUntilNumber={gap.until}&content=id-only"
    )
    async with opened(here, server) as asked:
        answer = await asked.read(query)
    told = read_notification(answer, server.url)._replace(subscription=gap.subscription)
    await here.compute(lambda: receive(here.keeping, None, server, told, route=None))
    if not await here.compute(lambda: _came_by_themselves(here, gap)):
        # It may give a part at a time, or not have kept them: that is tried again, and told.
        raise (
            GivenUpError("not_recovered")
            if not told.events
            else FHIRServerError("fhirServer: a part of the events alone")
        )
    await here.compute(lambda: _end(here, owner, gap, {"state": DONE, "problem": None}))


def _came_by_themselves(here: Serving, gap: inbox.Row) -> bool:
    with here.keeping.database.reading() as connection:
        return inbox.known_within(connection, gap) == gap.until - gap.number + 1


def _end(here: Serving, owner: str, row: inbox.Row, values: Mapping[str, Any]) -> None:
    with here.keeping.database.writing() as connection:
        inbox.end(connection, row.id, owner, values)
