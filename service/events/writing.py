"""What is to lie at an EHR after a score: decided in the score's own transaction, sent later."""

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec
from sqlalchemy import Connection

from fhir_mappings.records.instants import from_datetime
from service.database import outbox
from service.database.leases import FAILED, WAITING
from service.score import Score, Scored

KINDS: Final = ("RiskAssessment", "Flag", "Provenance")
"""What a stay has at an EHR, one of each."""

DELIVERED: Final = "delivered"
TAKEN_BACK: Final = "taken_back"
"""Of a Flag: the EHR has it, and it does not stand any more."""
WITHDRAWN: Final = "withdrawn"
"""Not to be sent after all."""


def to_be_written(
    connection: Connection, server: str, stay: str, score: Score, known_at: int
) -> None:
    """Enter what an EHR is to be told of a stay, in place of what it was to be told before.

    Args:
        connection: of the transaction that keeps the score.
        server: the name of the EHR's server.
        stay: the stay's identifier.
        score: with its id.
        known_at: when the records that it was made of were asked for, microseconds UTC.

    Raises:
        DatabaseError: if it cannot be entered.
    """
    now = from_datetime(datetime.now(UTC))
    for kind in KINDS:
        row = outbox.Row(
            id=hashlib.sha256("\0".join((server, kind, stay)).encode()).hexdigest(),
            server=server,
            kind=kind,
            stay_index=stay,
            score_id=str(score.score_id),
            known_at=known_at,
            next_at=now,
            changed_at=now,
        )
        wanted = isinstance(score, Scored) and (kind != "Flag" or score.band == "high")
        before = outbox.hold(connection, row.id)
        if before is None:
            if not wanted or outbox.enter(connection, row):
                continue
            before = outbox.hold(connection, row.id)
        if before is None or before.known_at > known_at:
            continue  # another worker knew more, and was first
        state = WAITING if wanted else _not_wanted(before)
        if state is not None:
            outbox.renew(connection, msgspec.structs.replace(row, state=state))


def _not_wanted(before: outbox.Row) -> str | None:
    """What becomes of what an EHR has, or was to have; None where it stays as it is."""
    if before.kind == "Flag" and before.may_be_there:
        return None if before.state == TAKEN_BACK else WAITING
    return WITHDRAWN if before.state in (WAITING, FAILED) else None
