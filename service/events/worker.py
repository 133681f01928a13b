"""The worker: takes what is due, a few at a time, and goes on for ever.

Any number of processes may run one on the same database. Each takes rows for two minutes, works on
them for one at most, and writes what came of them only while they are still its own.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import anyio

from fhir_mappings.errors import OptOutError
from fhir_mappings.records.instants import from_datetime
from service.audit.anchor import AuditError
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import inbox, leases, outbox
from service.database.engine import DatabaseError
from service.database.leases import FAILED, Lease
from service.events.attempts import Verdict, Why, verdict
from service.events.delivery import deliver, take_back
from service.events.scoring import LeaseLostError, work_on
from service.observing.logs import Happening, logger, word_of
from service.serving import Serving

AT_ONCE: Final = 4
"""Rows in hand at a time, of events and of deliveries each. An EHR is not there for us alone."""
LEASE_SECONDS: Final = 120
WORK_SECONDS: Final = 60
"""For all that an EHR is asked for one row: less than the lease, so that no request of ours is
still on its way when another worker may begin."""
PAUSE_SECONDS: Final = 1.0
HELD_UP_SECONDS: Final = 5.0
HOUSEKEEPING_SECONDS: Final = 60.0
STOPS_WITHIN_SECONDS: Final = 10.0

_SECOND: Final = 1_000_000
_log = logger("readmit.events")


class Worker:
    """One process's worker."""

    def __init__(self, here: Serving) -> None:
        self._here = here
        self.owner = secrets.token_hex(16)
        self._kept_house = float("-inf")

    async def run(self, stop: anyio.Event) -> None:
        """Work until told to stop; what is in hand is finished."""
        while not stop.is_set():
            pause = PAUSE_SECONDS
            try:
                await self.keep_house()
                if await self.round():
                    continue
            except (DatabaseError, AuditError, OptOutError) as error:
                # Nothing is lost: leases run out, and all is done again.
                _log.error(Happening.EVENTS_HELD_UP, reason=error)
                pause = HELD_UP_SECONDS
            with anyio.move_on_after(pause):
                await stop.wait()

    async def until_nothing_is_due(self) -> None:
        """Work through what is due at this moment and what comes of it, then end.

        Raises:
            DatabaseError: if the database cannot be asked.
        """
        while await self.round():
            pass

    async def round(self) -> int:
        """Take what is due and work on it; how many rows.

        Raises:
            DatabaseError: if the database cannot be asked.
        """
        events, parcels = await self._here.compute(self._take)
        async with anyio.create_task_group() as group:
            for event in events:
                group.start_soon(self._attempt, event, work_on, self._event_failed)
            for parcel in parcels:
                group.start_soon(self._attempt, parcel, deliver, self._delivery_failed)
        return len(events) + len(parcels)

    async def keep_house(self) -> None:
        """Once a minute: take back the Flags of who opted out, and count.

        Raises:
            DatabaseError: if the database cannot be asked.
            OptOutError: if the opt-out list cannot be read.
        """
        if anyio.current_time() - self._kept_house < HOUSEKEEPING_SECONDS:
            return
        self._kept_house = anyio.current_time()
        await self._here.compute(lambda: take_back(self._here))
        await self._here.compute(self._count)

    def _take(self) -> tuple[list[inbox.Row], list[outbox.Row]]:
        now = _now()
        lease = Lease(self.owner, now + LEASE_SECONDS * _SECOND)
        with self._here.keeping.database.writing() as connection:
            return (
                inbox.take(connection, lease, now=now, at_most=AT_ONCE),
                outbox.take(connection, lease, now=now, at_most=AT_ONCE),
            )

    async def _attempt(
        self,
        row: Any,
        work: Callable[[Serving, str, Any], Awaitable[None]],
        failed: Callable[[Any, Verdict], None],
    ) -> None:
        """Work on one row; what fails is noted at the row, and concerns no other."""
        try:
            with anyio.fail_after(WORK_SECONDS):
                await work(self._here, self.owner, row)
        except LeaseLostError:
            return
        except (DatabaseError, AuditError) as error:
            # It cannot be noted either. The lease runs out.
            _log.error(Happening.EVENTS_HELD_UP, reason=error)
            await anyio.sleep(PAUSE_SECONDS)
        # One record that our own code cannot take must not keep all others from being scored. It is
        # logged by type and line, counted as an attempt, and given up after a few.
        except Exception as error:  # noqa: BLE001  see above
            found = verdict(error, row.attempts)
            if found.why == "unexpected":
                _log.error(Happening.INCIDENT, error=error, where=error)
            try:
                await self._here.compute(lambda: failed(row, found))
            except LeaseLostError:
                return
            except (DatabaseError, AuditError) as held_up:
                _log.error(Happening.EVENTS_HELD_UP, reason=held_up)

    def _event_failed(self, row: inbox.Row, found: Verdict) -> None:
        values = {"state": found.state, "problem": found.problem, "next_at": _after(found)}
        if found.state != FAILED:
            with self._here.keeping.database.writing() as connection:
                inbox.end(connection, row.id, self.owner, values)
            return
        self._say(Happening.EVENT_FAILED, row.server, found)
        with self._here.keeping.audit.recorded() as work:
            if not inbox.end(work.connection, row.id, self.owner, values):
                raise LeaseLostError("another worker has it")
            details: dict[str, str | int | None] = {
                "server": row.server,
                "number": row.number,
                "why": found.why,
                "status": found.status,
            }
            entry = Entry(event=Event.EVENT_FAILED, caller=None, outcome="failed", details=details)
            work.record(entry)

    def _delivery_failed(self, row: outbox.Row, found: Verdict) -> None:
        now = _now()
        values = {
            "state": found.state,
            "problem": found.problem,
            "next_at": _after(found),
            "changed_at": now,
        }
        if found.state != FAILED:
            with self._here.keeping.database.writing() as connection:
                outbox.end(connection, row, self.owner, values)
            return
        self._say(Happening.WRITE_BACK_FAILED, row.server, found)
        with self._here.keeping.audit.recorded() as work:
            if not outbox.end(work.connection, row, self.owner, values):
                raise LeaseLostError("another worker has it, or a newer score")
            details = {
                "server": row.server,
                "resource": row.kind,
                "score_id": row.score_id,
                "why": found.why,
                "status": found.status,
            }
            entry = Entry(
                event=Event.WRITE_BACK_FAILED, caller=None, outcome="failed", details=details
            )
            work.record(entry)

    def _say(self, happening: Happening, server: str, found: Verdict) -> None:
        servers = self._here.trusted.fhir_servers
        listed = [f"fhir_server[{i}]" for i, one in enumerate(servers) if one.name == server]
        _log.error(
            happening,
            listed=listed[0] if listed else None,
            why=word_of(Why, found.why),
            status=found.status,
        )

    def _count(self) -> None:
        with self._here.keeping.database.reading() as connection:
            groups = leases.counted(connection)
        counts: dict[tuple[str, str, str], int] = {}
        for one in groups:
            labels = (one.table, one.server, one.state)
            counts[labels] = counts.get(labels, 0) + one.rows
        self._here.metrics.events(counts)


@asynccontextmanager
async def working(here: Serving) -> AsyncIterator[None]:
    """Have a worker beside what is done within, if any server is to be worked for."""
    if not any(server.takes_part_in_events for server in here.trusted.fhir_servers):
        yield
        return
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        done = anyio.Event()

        async def run() -> None:
            await Worker(here).run(stop)
            done.set()

        group.start_soon(run)
        try:
            yield
        finally:
            stop.set()
            with anyio.move_on_after(STOPS_WITHIN_SECONDS, shield=True):
                await done.wait()
            # Of what is not finished by then, the leases run out.
            group.cancel_scope.cancel()


def _after(found: Verdict) -> int:
    return _now() + round(found.wait_seconds * _SECOND)


def _now() -> int:
    return from_datetime(datetime.now(UTC))
