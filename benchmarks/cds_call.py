"""A whole CDS call: prefetched records in, card out, with the EHR's token and the audit.

Two EHRs, one that signs with ES384 and one with RS384, call the service as ``readmit serve`` runs
it, on the same two cores, fifty times a second for a minute. Each call is about another patient, so
that each gets its card. The records are real Synthea charts; the model was trained on the simulated
hospital, and the playbook shows a card from the lowest band on, since what is timed is a card.

The service runs as an operator would have it with two cores: two processes on one PostgreSQL, where
that is installed, or else one process on a new SQLite file. ``BENCHMARK_DATABASE`` names another
database (``sqlite`` for the file), ``BENCHMARK_PROCESSES`` another number of processes, and
``BENCHMARK_SECONDS`` another length than a minute.
"""

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.cds_load import (
    EHR,
    ON_TIME_SECONDS,
    SERVICE,
    Call,
    at_a_pace,
    one_by_one,
    published,
)
from benchmarks.cds_records import Chart, charts
from benchmarks.measuring import Result, at_least, at_most, figure
from benchmarks.postgresql import is_installed, postgresql
from benchmarks.serving import free_port, server, trained
from fhir_mappings.features.engine import View
from service.audit.ledger import Work
from service.cards.show import card_of
from service.cds_hooks.answer import Cards
from service.cds_hooks.call import read_call
from service.cds_hooks.prefetch import as_bundle, take_apart
from service.cds_hooks.services import SERVICES
from service.cds_hooks.showing import ROUTE, Viewing, show_once
from service.kept_scores import keep_score
from service.protection.keys import new_keys, write_keys
from service.score import Score
from service.score_records import Asked, read_record, score_record
from service.scoring import choose_stay
from service.serving import Serving
from service.settings import Settings
from training.risk_model import champion

PER_SECOND, SECONDS = 50, 60
P95_MILLISECONDS: Final = 300
ONE_BY_ONE, ROUNDS = 60, 60

ISSUER = """
[[issuer]]
issuer = "{issuer}"
jwks_uri = "{issuer}/jwks"
algorithms = ["{algorithm}"]
audience_is_url = true
single_use = true
system_scopes = "system/RiskAssessment.c"
"""


class Used(NamedTuple):
    """Processor time, in seconds."""

    seconds: float
    """On the clock."""
    machine: float
    """Of everybody, on all cores."""
    service: float
    """Of the processes that were started from here."""
    ours: float

    @classmethod
    def now(cls) -> "Used":
        """Since whenever; what counts is the difference (Linux: ``proc(5)``)."""
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, interrupt, soft = map(
            int, Path("/proc/stat").read_text().split()[1:8]
        )
        theirs = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                fields = file.read_text().rpartition(")")[2].split()
                theirs += sum(map(int, fields[11:13])) if int(fields[1]) == os.getpid() else 0
        busy = user + nice + system + interrupt + soft
        return cls(time.perf_counter(), busy / tick, theirs / tick, time.process_time())

    def since(self, before: "Used") -> "Used":
        """What was used between two moments."""
        return Used(*(after - first for after, first in zip(self, before, strict=True)))


def run(folder: Path) -> list[Result]:
    """Train, start the service, call it, and take the time apart."""
    mlruns = trained(folder)
    chosen, profile = charts(folder)
    seconds = int(os.environ.get("BENCHMARK_SECONDS", SECONDS))
    ehrs = [EHR("ES384"), EHR("RS384")]
    with published(*ehrs), _database_in(folder) as database:
        environment = _installation(folder, mlruns, profile.name, ehrs, database)
        with _services(environment) as urls:
            public = environment["READMIT_PUBLIC_URL"]
            alone = one_by_one(urls[0], public, ehrs, chosen, ONE_BY_ONE)[len(chosen) :]
            before = Used.now()
            calls = at_a_pace(urls, public, ehrs, chosen, per_second=PER_SECOND, seconds=seconds)
            used = Used.now().since(before)
        parts = _parts(folder, mlruns, profile.name, ehrs, chosen)
    where = f"{profile.name} charts of {_kilobytes(chosen)}, {_database(environment)}"
    processes = "one process" if len(urls) == 1 else f"{len(urls)} processes"
    return [
        *_figures(calls, f"{where}, {processes}"),
        *_processors(used, len(calls)),
        *_breakdown(alone, parts),
    ]


def _figures(calls: Sequence[Call], where: str) -> list[Result]:
    answered = [call for call in calls if call.status == 200]
    took = np.array([call.took for call in answered]) * 1000
    pace = f"{PER_SECOND}/s, {len(calls)} calls"
    on_time = sum(call.late <= ON_TIME_SECONDS for call in calls) / len(calls)
    return [
        figure(f"a CDS call at {pace}, p50", float(np.quantile(took, 0.5)), "ms", where),
        at_most(
            f"a CDS call at {pace}, p95",
            float(np.quantile(took, 0.95)),
            P95_MILLISECONDS,
            "ms",
        ),
        figure(f"a CDS call at {pace}, p99", float(np.quantile(took, 0.99)), "ms"),
        at_most(
            "calls that were not answered with 200",
            len(calls) - len(answered),
            0,
            "calls",
            f"statuses {sorted({call.status for call in calls})}",
        ),
        at_least("calls that showed a card", sum(c.shown for c in calls) / len(calls), 1, "of all"),
        figure(
            f"calls that left within {ON_TIME_SECONDS * 1000:.0f} ms of their moment",
            on_time,
            "of all",
            f"the latest {max(call.late for call in calls) * 1000:.0f} ms",
        ),
    ]


def _processors(used: Used, calls: int) -> list[Result]:
    """What the calls cost, whoever else was on the machine; and how much of it others had."""
    cores = os.cpu_count() or 1
    return [
        figure(
            "processor time of the service for a call",
            used.service / calls * 1000,
            "ms",
            f"at {PER_SECOND}/s, {used.service / calls * PER_SECOND:.0%} of one core",
        ),
        figure(
            "of the machine, others than this benchmark had",
            (used.machine - used.service - used.ours) / (used.seconds * cores),
            "of all",
            f"{cores} cores; the load generator {used.ours / used.seconds:.0%} of one, "
            f"load average {os.getloadavg()[0]:.1f}",
        ),
    ]


def _breakdown(alone: Sequence[Call], parts: dict[str, float]) -> list[Result]:
    """Where the time of a call goes, by its steps; what none of them takes is HTTP's."""
    whole = statistics.median(call.took for call in alone) * 1000
    rest = whole - sum(parts.values())
    return [
        figure("one call at a time over HTTP, p50", whole, "ms"),
        *(
            figure(f"of it: {name}", took, "ms", f"{took / whole:.0%}")
            for name, took in parts.items()
        ),
        figure(
            "of it: HTTP, hand-over between threads, limits, log",
            rest,
            "ms",
            f"{rest / whole:.0%}: the rest",
        ),
    ]


def _parts(
    folder: Path, mlruns: Path, profile: str, ehrs: Sequence[EHR], chosen: Sequence[Chart]
) -> dict[str, float]:
    """Median milliseconds of each step of a call, in this process, one after another."""
    (folder / "parts").mkdir()
    settings = Settings(
        development=True,
        database=f"sqlite:///{folder / 'parts' / 'readmit.db'}",
        issuers=folder / "issuers.toml",
        playbook=folder / "playbook.toml",
        public_url=OWN,
        profile=profile,
    )
    with asyncio.Runner() as runner:
        here = runner.run(_made(settings, mlruns))
        seconds: dict[str, list[float]] = defaultdict(list)
        for number in range(ROUNDS + len(chosen)):
            token = ehrs[number % len(ehrs)].token(OWN + SERVICE)
            watch = _Watch()
            _step_by_step(runner, here, token, chosen[number % len(chosen)].body(), watch)
            if number >= len(chosen):
                for name, took in watch.took.items():
                    seconds[name].append(took)
        here.keeping.close()
    return {name: statistics.median(took) * 1000 for name, took in seconds.items()}


OWN: Final = "http://127.0.0.1:8000"


async def _made(settings: Settings, mlruns: Path) -> Serving:
    return Serving(settings, champion(mlruns))


class _Watch:
    """Seconds of the steps."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.took[name] = time.perf_counter() - began


def _step_by_step(
    runner: asyncio.Runner, here: Serving, token: str, body: bytes, watch: _Watch
) -> None:
    """What ``service.routes.cds_hooks`` does with a call, a step at a time."""
    service = SERVICES[SERVICE.rpartition("/")[2]]
    with watch.step("JWT: verified and entered as used"):
        caller = runner.run(here.bearer.caller([f"Bearer {token}"], SERVICE))
    with watch.step("the call read, its prefetch made one Bundle"):
        call = read_call(body, service)
        held = take_apart(call.prefetch).held.values()
        bundle = as_bundle(resource for resources_ in held for resource in resources_)
    with watch.step("records read and mapped"):
        record = read_record(here, bundle)
    stay = choose_stay(record.timeline, call.context.encounter_id, None)
    # Of a second reading: what a timeline has worked out once, it does not work out again.
    again = read_record(here, bundle).timeline
    with watch.step("row of the model's features"):
        row = View(again, stay, stay.end or 0).row(here.model.features)
    with watch.step("contributions"):
        here.model.explain(row)
    with watch.step("scored"):
        asked = score_record(here, caller, record, stay, Asked(call.context.encounter_id))
    # The two steps before are part of this one; what is left is its own.
    twice = watch.took["row of the model's features"] + watch.took["contributions"]
    watch.took["reasons, LACE and HOSPITAL"] = watch.took.pop("scored") - twice
    score = msgspec.structs.replace(asked.score, score_id="0" * 32)
    today = datetime.now(UTC).date()
    with watch.step("card"):
        card = card_of(score, here.playbook, score_id="0" * 32, today=today, model_card=OWN)
        assert card is not None
        msgspec.json.encode(Cards((card,)))
    viewing = Viewing(
        caller, service.description.id, call.context.user_id, stay.encounters[0], stay.site
    )

    def show(work: Work, kept: Score) -> None:
        own = msgspec.structs.replace(card, uuid=str(kept.score_id))
        show_once(work, here.keeping.keys, viewing, kept, own)

    with watch.step("database and audit: score, card, entries, one transaction on disk"):
        unit = stay.site
        keep_score(
            here.keeping,
            caller,
            asked.score,
            unit=unit,
            route=ROUTE,
            row=asked.row,
            beside=show,
        )


@contextmanager
def _database_in(folder: Path) -> Iterator[str]:
    """The URL of the database that the service keeps everything in."""
    named = os.environ.get("BENCHMARK_DATABASE")
    if named is None and is_installed():
        with postgresql(folder) as url:
            yield url
        return
    yield f"sqlite:///{folder / 'readmit.db'}" if named in (None, "sqlite") else str(named)


def _installation(
    folder: Path, mlruns: Path, profile: str, ehrs: Sequence[EHR], database: str
) -> dict[str, str]:
    """What an operator sets: keys, issuers, playbook, database."""
    (folder / "issuers.toml").write_text(
        "".join(ISSUER.format(issuer=ehr.issuer, algorithm=ehr.algorithm) for ehr in ehrs)
    )
    shipped = resources.files("service.cards").joinpath("playbooks/default.toml").read_text()
    shown = shipped.replace('show_from = "high"', 'show_from = "low" ')
    if shown == shipped:
        raise RuntimeError("the shipped playbook has changed: its show_from is not found")
    (folder / "playbook.toml").write_text(shown)
    write_keys(folder / "readmit.keys", new_keys())
    return {
        "READMIT_ISSUERS": str(folder / "issuers.toml"),
        "READMIT_PLAYBOOK": str(folder / "playbook.toml"),
        "READMIT_KEY_FILE": str(folder / "readmit.keys"),
        "READMIT_DATABASE": database,
        "READMIT_AUDIT_ANCHOR": str(folder / "audit-anchor"),
        "READMIT_PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
        "READMIT_MLRUNS": str(mlruns),
        "READMIT_PROFILE": profile,
        # What is timed is more than one caller may ask.
        "READMIT_REQUESTS_PER_MINUTE": "1000000",
    }


@contextmanager
def _services(environment: dict[str, str]) -> Iterator[list[str]]:
    """The service, in as many processes as are wanted: their addresses."""
    first = int(environment["READMIT_PUBLIC_URL"].rpartition(":")[2])
    usual = 2 if environment["READMIT_DATABASE"].startswith("postgresql") else 1
    wanted = int(os.environ.get("BENCHMARK_PROCESSES", usual))
    with ExitStack() as stack:
        urls = []
        for port in (first, *(free_port() for _ in range(wanted - 1))):
            command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
            urls.append(f"http://127.0.0.1:{port}")
            stack.enter_context(server(command, f"{urls[-1]}/readyz", environment))
        yield urls


def _kilobytes(chosen: Sequence[Chart]) -> str:
    sizes = [len(chart.prefetch) // 1000 for chart in chosen]
    return f"{min(sizes)} to {max(sizes)} kB ({len(chosen)} charts, each call a new patient)"


def _database(environment: dict[str, str]) -> str:
    return "PostgreSQL" if environment["READMIT_DATABASE"].startswith("postgresql") else "SQLite"
