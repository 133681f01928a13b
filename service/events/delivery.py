"""Delivering what is to lie at an EHR, until it does.

A resource is made of its score when it is sent: nothing of it lies in the outbox. That it may have
arrived is noted before it is sent, and whoever tries a second time looks first: what lies there
already is not written again.
"""

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

import msgspec

from fhir_mappings.records.instants import as_datetime, from_datetime
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.cds_hooks.prefetch import resources_of
from service.database import outbox, scores
from service.events.attempts import GivenUpError
from service.events.scoring import LeaseLostError
from service.events.servers import caller_of, named, opened
from service.events.writing import DELIVERED, TAKEN_BACK, WITHDRAWN
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import FHIRServer
from service.kept_scores import opened as unsealed
from service.score import Score, Scored
from service.serving import Serving

FLAG: Final = "Flag"


class Parcel(NamedTuple):
    """A resource that is ready to be sent."""

    condition: str
    """The search that finds it at the EHR."""
    resource: dict[str, Any]
    stands: bool
    """Of a Flag, whether it is active; of others, True."""
    patient: str


async def deliver(here: Serving, owner: str, row: outbox.Row) -> None:
    """Have a resource lie at the EHR, and note that it does.

    Raises:
        FHIRServerError: if the EHR's server does not take it.
        EHRTokenError: if it gives no access.
        GivenUpError: if there is nothing to be done about it.
        LeaseLostError: if another worker has it.
        DatabaseError: if it cannot be noted.
    """
    server = named(here, row.server)
    parcel = await here.compute(lambda: packed(here, row))
    if parcel is None:
        await here.compute(lambda: _withdraw(here, owner, row))
        return
    async with opened(here, server) as asked:
        if row.attempts == 1 or not await _lies_there(asked, parcel):
            await here.compute(lambda: _about_to_send(here, owner, row))
            await asked.update(parcel.condition, msgspec.json.encode(parcel.resource))
    await here.compute(lambda: _delivered(here, owner, row, parcel))


def packed(here: Serving, row: outbox.Row) -> Parcel | None:
    """Make what is to be sent; None where it is not to be sent after all.

    Whoever opted out since the score was given is written of no more: a Flag of theirs that may
    stand is taken back, and that is all.

    Raises:
        GivenUpError: if the score is not kept any more.
        OptOutError: if the opt-out list cannot be read.
    """
    # It takes fhir.resources, which importing the service must not.
    from service.fhir_out.write_back import Kind, condition, resource_of

    with here.keeping.database.reading() as connection:
        kept = scores.by_id(connection, row.score_id)
        refused = kept is not None and scores.is_refused(connection, kept.patient_index)
    if kept is None:
        raise GivenUpError("score_gone")
    score = unsealed(here.keeping.keys, kept)
    refused = refused or score.subject in here.opt_outs.listed
    stands = not refused and _says_so(row.kind, score)
    if not stands and not (row.kind == FLAG and row.may_be_there):
        return None
    kind = cast(Kind, row.kind)
    resource = resource_of(
        kind,
        score,
        as_datetime(kept.made_at),
        row.stay_index,
        active=stands,
        model_card=f"{here.settings.own_url}/v1/model",
    )
    return Parcel(condition(kind, row.stay_index), resource, stands, score.subject)


def _says_so(kind: str, score: Score) -> bool:
    """Whether a score gives reason to a resource of this type."""
    return isinstance(score, Scored) and (kind != FLAG or score.band == "high")


async def _lies_there(asked: FHIRServer, parcel: Parcel) -> bool:
    """Whether an attempt before this one arrived."""
    from service.fhir_out.write_back import lies_there

    found = resources_of(await asked.read(parcel.condition))
    if found is None:
        raise FHIRServerError("fhirServer: a search failed")
    return len(found) == 1 and lies_there(msgspec.json.decode(found[0]), parcel.resource)


def _about_to_send(here: Serving, owner: str, row: outbox.Row) -> None:
    with here.keeping.database.writing() as connection:
        if not outbox.about_to_send(connection, row, owner):
            raise LeaseLostError("another worker has it, or a newer score")


def _withdraw(here: Serving, owner: str, row: outbox.Row) -> None:
    values = {"state": WITHDRAWN, "problem": None, "changed_at": _now()}
    with here.keeping.database.writing() as connection:
        outbox.end(connection, row, owner, values)


def _delivered(here: Serving, owner: str, row: outbox.Row, parcel: Parcel) -> None:
    state = DELIVERED if parcel.stands else TAKEN_BACK
    with here.keeping.audit.recorded() as work:
        values = {"state": state, "problem": None, "changed_at": _now()}
        outbox.end(work.connection, row, owner, values)
        # Whatever has become of the row in the meantime: the EHR has been told of the patient.
        work.record(
            Entry(
                event=Event.WRITTEN_BACK,
                caller=caller_of(named(here, row.server)),
                patient=parcel.patient,
                details={
                    "server": row.server,
                    "resource": row.kind,
                    "score_id": row.score_id,
                    "stands": parcel.stands,
                },
            )
        )


def take_back(here: Serving) -> int:
    """Have the Flags of patients who have opted out since taken back; how many.

    Raises:
        DatabaseError: if they cannot be looked at.
        OptOutError: if the opt-out list cannot be read.
    """
    listed = here.opt_outs.listed
    with here.keeping.database.reading() as connection:
        standing = [
            (row, kept)
            for row in outbox.flags_that_stand(connection)
            if (kept := scores.by_id(connection, row.score_id)) is not None
        ]
        theirs = [
            row
            for row, kept in standing
            if scores.is_refused(connection, kept.patient_index)
            or unsealed(here.keeping.keys, kept).subject in listed
        ]
    now = _now()
    with here.keeping.database.writing() as connection:
        for row in theirs:
            outbox.again(connection, row, now)
    return len(theirs)


def _now() -> int:
    return from_datetime(datetime.now(UTC))
