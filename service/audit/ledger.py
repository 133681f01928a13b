"""Writing the audit: in the same transaction as what it records, or not at all.

Entries form a chain: each one's hash covers its predecessor's. The hash is an HMAC-SHA-256 with the
operator's key, so that whoever can write the database still cannot write an entry that fits. Where
the chain ends is also written to a second file (``anchor``), so that entries cannot be cut off its
end unnoticed.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from sqlalchemy import Connection

from fhir_mappings.records.instants import from_datetime
from service.audit.anchor import AuditError, check_anchor, renew_anchor, write_anchor
from service.audit.vocabulary import EVENTS, Event
from service.database import audit_entries
from service.database.engine import Database, DatabaseError
from service.identity.caller import Caller
from service.protection.keys import Keys
from service.protection.sealing import index_of, seal

Outcome = Literal["success", "refused", "failed"]
Detail = str | int | None

PATIENT_CONTEXT = "audit_entries.patient"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be entered."""

    event: Event
    caller: Caller | None
    """None where the service itself acts, or the operator by a command."""
    outcome: Outcome = "success"
    patient: str | None = None
    route: str | None = None
    details: Mapping[str, Detail] = {}


class Work:
    """A transaction that is recorded: its connection, and what is to be entered at its end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.entries: list[Entry] = []

    def record(self, entry: Entry) -> None:
        """Enter this when the transaction ends.

        Raises:
            ValueError: if it carries a detail that its event does not have, or lacks the patient.
        """
        described = EVENTS[entry.event]
        if set(entry.details) - described.details:
            raise ValueError(f"{entry.event}: a detail that it does not have")
        if described.about_patient and entry.patient is None:
            raise ValueError(f"{entry.event}: about no patient")
        self.entries.append(entry)


class Audit:
    """The audit of one installation."""

    def __init__(self, database: Database, keys: Keys, anchor: Path) -> None:
        self.database = database
        self.keys = keys
        self.anchor = anchor
        self.failures = 0
        """Transactions that were not recorded, and so undone or not answered for."""

    @contextmanager
    def recorded(self) -> Iterator[Work]:
        """A transaction whose entries are written with it; if they cannot be, it is undone.

        Whoever answers a request does so after this block: an answer that is not in the audit is
        refused.

        Raises:
            DatabaseError: if the transaction or its entries cannot be written.
            AuditError: if the anchor cannot be, or the chain was cut.
            ValueError: if nothing was recorded.
        """
        with self._counted(), self.database.writing() as connection:
            work = Work(connection)
            yield work
            if not work.entries:
                raise ValueError("a transaction ended without an entry in the audit")
            # Last in the transaction: from here to the commit nobody else can append.
            head = self._held(connection)
            check_anchor(self.anchor, self.keys, *head)
            end = self._append(connection, head, work.entries)
        with self._counted():
            write_anchor(self.anchor, self.keys, *end)

    def record(self, entry: Entry) -> None:
        """Enter something that changes nothing in the database."""
        with self.recorded() as work:
            work.record(entry)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, AuditError):
            self.failures += 1
            raise

    def anchor_anew(self, entry: Entry) -> int:
        """Enter why, and anchor the chain where it ends now, even if that is before its anchor.

        For an operator who has moved the file, lost it, or restored an older database; whether the
        chain is whole up to here is ``verify``'s to say.

        Returns: the number of the entry.

        Raises:
            DatabaseError: if the entry cannot be written.
            AuditError: if the anchor cannot be.
        """
        with self.database.writing() as connection:
            end = self._append(connection, self._held(connection), [entry])
        renew_anchor(self.anchor, self.keys, *end)
        return end[0]

    def _held(self, connection: Connection) -> tuple[int, str]:
        try:
            return audit_entries.hold_head(connection)
        except LookupError as error:
            raise AuditError(str(error)) from None

    def _append(
        self, connection: Connection, head: tuple[int, str], entries: list[Entry]
    ) -> tuple[int, str]:
        """Append entries to the chain; where it ends then."""
        number, digest = head
        rows = []
        for entry in entries:
            number, row = number + 1, self._row(number + 1, digest, entry)
            digest = row.hash
            rows.append(row)
        try:
            audit_entries.append(connection, rows)
        except LookupError as error:
            raise AuditError(str(error)) from None
        return number, digest

    def _row(self, number: int, previous: str, entry: Entry) -> audit_entries.Row:
        caller, patient = entry.caller, entry.patient
        row = audit_entries.Row(
            number=number,
            at=from_datetime(datetime.now(UTC)),
            event=entry.event,
            outcome=entry.outcome,
            issuer=None if caller is None else caller.issuer,
            actor=None if caller is None else caller.subject,
            client=None if caller is None else caller.client,
            roles="" if caller is None else " ".join(sorted(caller.roles)),
            purpose=caller.purpose.value if caller is not None and caller.purpose else None,
            route=entry.route,
            patient_index=None if patient is None else index_of(self.keys, "patient", patient),
            patient_sealed=None if patient is None else seal(self.keys, patient, PATIENT_CONTEXT),
            details=msgspec.json.encode(dict(sorted(entry.details.items()))).decode(),
            previous=previous,
            hash="",
        )
        return msgspec.structs.replace(row, hash=digest_of(self.keys, row))


def digest_of(keys: Keys, row: audit_entries.Row) -> str:
    """The keyed hash of an entry: of all its fields in order, but the hash and what is sealed."""
    covered = msgspec.structs.replace(row, hash="", patient_sealed=None)
    content = b"entry " + msgspec.json.encode(covered, order="deterministic")
    return hmac.digest(keys.anchor, content, hashlib.sha256).hex()
