"""Keeping no longer than the policy says: what is deleted, and that the audit says so.

The audit itself is never purged. Its entries form a chain, the accounting of disclosures reaches
back six years (45 CFR 164.528), and they hold no more of a patient than a sealed id. Nor are the
event store's records: they are the hospital's own export, and go when its folder does. Logs go to
standard error, and are kept as long as whoever collects them is set to.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection

from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Audit, Entry
from service.audit.vocabulary import Event
from service.database.retention import (
    BROKEN_GLASS,
    CARDS,
    EVENTS,
    FOLLOW_UPS,
    MONTHS,
    OVER,
    SCORES,
    WORK_LIST,
    Kept,
    count_before,
    delete_before,
    empty_log,
)
from training.replay.ledger import parts_before

AFTER_ITS_END: Final = timedelta(hours=1)
"""How long what is over stays: clocks of several machines differ, and a token that is forgotten too
early could be used twice."""
LEDGER: Final = "score_ledger"
"""How the audit names the files of batch scores in the event store's folder."""


class Policy(msgspec.Struct, frozen=True):
    """How long what is kept, in days."""

    scores_days: int
    broken_glass_days: int
    follow_ups_days: int


class Purged(msgspec.Struct, frozen=True):
    """What was deleted of one kind, or would be."""

    what: str
    count: int
    before: str
    """ISO 8601, UTC."""


def purge(
    audit: Audit, store: Path, policy: Policy, *, now: datetime, dry_run: bool = False
) -> list[Purged]:
    """Delete what the policy says; what was deleted is in the audit, in the same transaction.

    Files are not in the database's transaction: that they go is entered first. A process that is
    killed in between leaves files that the audit calls deleted, and the next purge deletes them; no
    file is ever deleted that the audit does not know of.

    Args:
        audit: of the database.
        store: the event store's folder, where batch runs keep their scores.
        policy: how long what is kept.
        now: with its time zone.
        dry_run: says what would be deleted, and does not.

    Raises:
        DatabaseError: if the database cannot be read or written.
        AuditError: if the purge cannot be entered.
        OSError: if a file cannot be deleted.
    """
    ends = _ends(policy, now)
    before_scores = now - timedelta(days=policy.scores_days)
    files = parts_before(store, before_scores)
    ledger = Purged(LEDGER, len(files), _said(before_scores))
    with audit.database.reading() as connection:
        found = [*_tables(connection, ends, dry_run=True), ledger]
    if dry_run or not any(one.count for one in found):
        return found
    with audit.recorded() as work:
        done = [*_tables(work.connection, ends, dry_run=False), ledger]
        for one in done:
            if one.count:
                work.record(
                    Entry(event=Event.PURGED, caller=None, details=msgspec.structs.asdict(one))
                )
    for file in files:
        file.unlink(missing_ok=True)
    empty_log(audit.database)
    return done


def _ends(policy: Policy, now: datetime) -> list[tuple[Kept, datetime]]:
    return [
        (SCORES, now - timedelta(days=policy.scores_days)),
        (WORK_LIST, now - timedelta(days=policy.scores_days)),
        *((kept, now - timedelta(days=policy.scores_days)) for kept in (*CARDS, *EVENTS)),
        *((kept, now - timedelta(days=policy.follow_ups_days)) for kept in (*FOLLOW_UPS, MONTHS)),
        (BROKEN_GLASS, now - timedelta(days=policy.broken_glass_days)),
        *((kept, now - AFTER_ITS_END) for kept in OVER),
    ]


def _tables(
    connection: Connection, ends: list[tuple[Kept, datetime]], *, dry_run: bool
) -> list[Purged]:
    step = count_before if dry_run else delete_before
    return [
        Purged(kept.what, step(connection, kept, from_datetime(end)), _said(end))
        for kept, end in ends
    ]


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
