"""The batch run as a whole: begun or taken up again, chunk by chunk, and what became of it.

Each chunk's scores, rows, audit entries and the run's own progress are one transaction. A run that
is killed at any moment is taken up behind the last chunk that was committed; since a score's id and
moment are the run's and not the clock's, what it leaves is what an undisturbed run leaves.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection

from fhir_mappings.consent import OptOuts
from fhir_mappings.errors import ReadmitError, UnprocessableError
from fhir_mappings.events import DAY
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.instants import as_datetime, from_datetime
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store
from service.batch_run.chunk import OVER, Bench, Made
from service.batch_run.fingerprint import FORMAT
from service.batch_run.patient import Terms
from service.batch_run.window import CHUNK, Chunk, plan
from service.batch_run.workers import made_chunks
from service.database import scores, scoring_runs, work_list
from service.database.run_lock import run_lock
from service.database.work_list import Aged
from service.keeping import Keeping
from service.protection.sealing import index_of
from training.risk_model import RiskModel

Progress = Callable[[str, int, int], None]

TAKEN_UP_WITHIN: Final = timedelta(hours=12)
"""How long after its beginning a run that did not end is taken up. Later its moment is yesterday's,
and a new run is begun."""


class RunInProgressError(ReadmitError):
    """Another batch run is under way on this database."""

    exit_code = 11
    title = "Batch run"


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. The patients in the window are scored, unchanged or not scored."""

    run: str
    as_of: str
    """ISO 8601, UTC."""
    model: str
    version: str
    patients: int
    """In hospital, or discharged within the horizon."""
    scored: int
    """Computed in this run."""
    unchanged: int
    """Not computed: nothing that their score rests on is new."""
    not_scored: dict[str, int]
    """By the code of the reason."""
    left: dict[str, int]
    """Patients who were on the list and whose stay is not any more, by why."""
    listed: int
    """Patients on the list now."""
    taken_up: bool
    """Whether the run was begun by a process that did not end it."""
    nothing_to_do: bool
    """Whether this very run had ended before."""
    seconds: float


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is to be made of."""

    store: Store
    profile: SiteProfile
    model: RiskModel
    opt_outs: OptOuts
    """``at`` is set to the beginning of the run."""
    as_of: datetime | None = None
    """The moment that patients in hospital are scored as of; now if None."""
    now: datetime
    max_reasons: int
    processes: int = 1
    at_once: int = CHUNK
    """Patients in a chunk."""


def score_all(keeping: Keeping, order: Order, progress: Progress) -> RunSummary:
    """Score every patient in hospital or discharged within the horizon, into the database.

    Args:
        keeping: the database, the keys and the audit.
        order: the records, the model and the moment.
        progress: told each chunk.

    Raises:
        RunInProgressError: if another run is under way.
        DatabaseError: if the database cannot be read or written.
        AuditError: if the scores cannot be entered in the audit: then they are not kept.
        StoreError: if the records cannot be read.
        UnprocessableError: if the records' dates are shifted: then nobody has just left.
    """
    began = time.perf_counter()
    if not order.profile.calendar:
        raise UnprocessableError(
            "the dates of these records are shifted for each patient: who is in hospital at one "
            "moment cannot be told"
        )
    with run_lock(keeping.database) as held:
        if not held:
            raise RunInProgressError("another batch run is under way; this one did nothing")
        basis = _basis(order)
        run, is_new = _run(keeping, order, basis)
        nothing_to_do = run.ended_at is not None
        if not nothing_to_do:
            if is_new:
                with keeping.database.writing() as connection:
                    scoring_runs.begin(connection, run)
            run = _work(keeping, order, run, basis, progress)
        with keeping.database.reading() as connection:
            listed = work_list.listed(connection)
    return _summary(
        run,
        listed=listed,
        taken_up=not is_new and not nothing_to_do,
        nothing_to_do=nothing_to_do,
        seconds=time.perf_counter() - began,
    )


def _basis(order: Order) -> str:
    """Names what every score rests on beside the patient's record."""
    told = (
        order.model.fingerprint.encode(),
        msgspec.json.encode(order.profile, order="deterministic"),
        str(order.max_reasons).encode(),
    )
    return hashlib.sha256(b"\0".join(told)).hexdigest()


def _identity(keeping: Keeping, order: Order, basis: str, as_of: int, began: datetime) -> str:
    """Names a run: of the same moment, records, model, list of refusals and day the same.

    The day is part of it because a Consent counts when it is used.
    """
    information = order.store.information
    told = (
        FORMAT, order.at_once, as_of, basis, information.ingests, information.written_at,
        sum(information.events), f"{began:%Y-%m-%d}", *sorted(order.opt_outs.listed),
    )  # fmt: skip
    return index_of(keeping.keys, "batch-run", "\0".join(map(str, told)))[:32]


def _run(keeping: Keeping, order: Order, basis: str) -> tuple[scoring_runs.Row, bool]:
    """The run to work on, and whether it begins now."""
    asked = None if order.as_of is None else from_datetime(order.as_of)
    with keeping.database.reading() as connection:
        left = scoring_runs.unfinished(connection)
        if left is not None and asked in (None, left.as_of):
            began = as_datetime(left.began_at)
            same = left.id == _identity(keeping, order, basis, left.as_of, began)
            if same and order.now - began < TAKEN_UP_WITHIN:
                return left, False
        as_of = from_datetime(order.now) if asked is None else asked
        identity = _identity(keeping, order, basis, as_of, order.now)
        done = scoring_runs.by_id(connection, identity)
    if done is not None and done.ended_at is not None:
        return done, False
    return scoring_runs.Row(
        id=identity,
        as_of=as_of,
        model=order.model.name,
        version=order.model.version,
        began_at=from_datetime(order.now),
    ), True


def _work(
    keeping: Keeping, order: Order, run: scoring_runs.Row, basis: str, progress: Progress
) -> scoring_runs.Row:
    """Do what is left of a run; the run as it ended."""
    days = order.model.horizon_days
    chunks = plan(order.store, run.as_of, days, order.at_once)
    counts: Counter[str] = Counter(msgspec.json.decode(run.counts))
    for reached, made in _made(keeping, order, run, basis, chunks):
        counts += made.counts
        _commit(keeping, run, made, reached=reached, counts=counts)
        progress("score", reached, len(chunks))
    ended = from_datetime(datetime.now(UTC))
    with keeping.database.writing() as connection:
        counts += _close(connection, run, days)
        _advance(connection, run, reached=len(chunks), counts=counts, ended_at=ended)
    return msgspec.structs.replace(run, reached=len(chunks), counts=_said(counts), ended_at=ended)


def _made(
    keeping: Keeping, order: Order, run: scoring_runs.Row, basis: str, chunks: list[Chunk]
) -> Iterator[tuple[int, Made]]:
    """What each chunk that is left comes to, with how many are done then."""
    with keeping.database.reading() as connection:
        known = work_list.known(connection)
    opt_outs = order.opt_outs
    if opt_outs.at is not None:
        opt_outs = opt_outs._replace(at=run.began_at)
    terms = Terms(
        run=run.id,
        as_of=run.as_of,
        made_at=as_datetime(run.began_at),
        days=order.model.horizon_days,
        profile=order.profile,
        opt_outs=opt_outs,
        basis=basis,
        max_reasons=order.max_reasons,
    )
    bench = Bench(terms, keeping.keys, order.model, site_concepts(order.profile), known)
    left = chunks[run.reached :]
    with made_chunks(bench, order.store, left, order.processes) as every:
        yield from enumerate(every, start=run.reached + 1)


def _commit(
    keeping: Keeping,
    run: scoring_runs.Row,
    made: Made,
    *,
    reached: int,
    counts: Counter[str],
) -> None:
    with _transaction(keeping, made) as connection:
        _advance(connection, run, reached=reached, counts=counts)
        scores.keep_many(connection, made.scores)
        work_list.put(connection, made.rows)
        work_list.age(connection, made.aged, run=run.id)


@contextmanager
def _transaction(keeping: Keeping, made: Made) -> Iterator[Connection]:
    """With the audit's entries, where there are any: an unchanged patient was not scored again."""
    if not made.entries:
        with keeping.database.writing() as connection:
            yield connection
        return
    with keeping.audit.recorded() as work:
        yield work.connection
        for entry in made.entries:
            work.record(entry)


def _close(connection: Connection, run: scoring_runs.Row, days: int) -> Counter[str]:
    """Take those off the list whom the run did not come across; how many, by why."""
    counts: Counter[str] = Counter()
    aged = []
    for patient, discharged_at in work_list.not_seen(connection, run=run.id).items():
        over = discharged_at is not None and run.as_of - discharged_at > days * DAY
        why = OVER if over else "not_scored"
        counts[f"left.{why}"] += 1
        # No fingerprint: if the stay is on record again, it is news.
        aged.append(Aged(patient, None, None, None, why, ""))
    work_list.age(connection, aged, run=run.id)
    work_list.forget_refused(connection, run=run.id)
    return counts


def _advance(
    connection: Connection,
    run: scoring_runs.Row,
    *,
    reached: int,
    counts: Counter[str],
    ended_at: int | None = None,
) -> None:
    """Note the progress, in the transaction that makes it.

    Raises:
        RunInProgressError: if somebody else has taken the run: the lock was lost, and the
            transaction is undone.
    """
    if not scoring_runs.advance(
        connection, run.id, reached=reached, counts=_said(counts), ended_at=ended_at
    ):
        raise RunInProgressError("another batch run has taken over; this one stopped")


def _said(counts: Counter[str]) -> str:
    return msgspec.json.encode(counts, order="sorted").decode()


def _summary(
    run: scoring_runs.Row, *, listed: int, taken_up: bool, nothing_to_do: bool, seconds: float
) -> RunSummary:
    counts: dict[str, int] = msgspec.json.decode(run.counts)
    not_scored = _part(counts, "not_scored.")
    scored, unchanged = counts.get("scored", 0), counts.get("unchanged", 0)
    return RunSummary(
        run=run.id,
        as_of=as_datetime(run.as_of).isoformat(timespec="seconds"),
        model=run.model,
        version=run.version,
        patients=scored + unchanged + sum(not_scored.values()),
        scored=scored,
        unchanged=unchanged,
        not_scored=not_scored,
        left=_part(counts, "left."),
        listed=listed,
        taken_up=taken_up,
        nothing_to_do=nothing_to_do,
        seconds=seconds,
    )


def _part(counts: dict[str, int], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): count
        for name, count in sorted(counts.items())
        if name.startswith(prefix)
    }
