"""The list with 100,000 patients on it: how long a page takes, in SQLite and in PostgreSQL.

The whole service is asked, without a network between: identity, filters, the page, its seals, an
entry in the audit for each patient who is shown. The patients are made up row by row; no model is
asked. PostgreSQL is measured where its programs are installed.
"""

import asyncio
import json
import math
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import msgspec
from sqlalchemy import insert

from benchmarks.measuring import Result, at_most, figure
from benchmarks.postgresql import is_installed, postgresql
from fhir_mappings.events import DAY
from fhir_mappings.records.instants import from_datetime
from service.app import create_app
from service.database import tables
from service.keeping import Keeping, open_keeping
from service.protection.keys import new_keys, write_keys
from service.protection.sealing import index_of, seal
from service.settings import Settings
from service.work_list.rows import Summary

PATIENTS: Final = 100_000
UNITS: Final = tuple(f"Ward {number}" for number in range(1, 41))
CONDITIONS: Final = ("Heart failure", "COPD", "Pneumonia", "Sepsis", "other")
ROUNDS: Final = 40

ASKED: Final[dict[str, dict[str, Any]]] = {
    "the first page": {},
    "one unit": {"unit": "Ward 7"},
    "high, new, heart failure": {"band": "high", "status": "new", "condition": "Heart failure"},
    "by due date": {"sort": "due"},
    "by day of discharge": {"sort": "discharged"},
}
"""What a page is asked for; each is also paged into."""


def run(folder: Path) -> list[Result]:
    """Fill each database, ask in turns, and give the 95th percentile of each question."""
    results = []
    for name, url in _databases(folder):
        with url as database:
            settings = _settings(folder / name.lower(), database)
            _fill(open_keeping(settings))
            results += asyncio.run(_measured(name, settings))
    return results


def _databases(folder: Path) -> Iterator[tuple[str, Any]]:
    yield "SQLite", _sqlite(folder)
    if is_installed():
        (folder / "postgresql").mkdir()
        yield "PostgreSQL", postgresql(folder)


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    (folder / "sqlite").mkdir()
    yield f"sqlite:///{folder / 'sqlite' / 'readmit.db'}"


def _settings(folder: Path, database: str) -> Settings:
    write_keys(folder / "keys", new_keys())
    return Settings(
        database=database,
        key_file=folder / "keys",
        audit_anchor=folder / "anchor",
        development=True,
        requests_per_minute=1_000_000,
    )


def _fill(keeping: Keeping) -> None:
    chance = random.Random(7)
    now = from_datetime(datetime.now(UTC))
    summary = seal(keeping.keys, msgspec.json.encode(_SUMMARY).decode(), "work_list.summary")
    with keeping.database.writing() as connection:
        for start in range(0, PATIENTS, 5_000):
            numbers = range(start, min(start + 5_000, PATIENTS))
            rows = [_row(keeping, chance, now, number, summary) for number in numbers]
            connection.execute(insert(tables.WORK_LIST), rows)
            connection.execute(
                insert(tables.FOLLOW_UPS), [_worked(row, chance, now) for row in rows[::5]]
            )
    if not keeping.database.is_sqlite:
        with keeping.database.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    keeping.close()


_SUMMARY: Final = Summary(
    raising=("3 hospital stays in the year before", "sodium 129 mmol/L"),
    main_reason="inpatient_stays_year_before",
    changeable=("sodium 129 mmol/L",),
    age=71,
    sex="female",
    missing=0,
)


def _row(
    keeping: Keeping, chance: random.Random, now: int, number: int, summary: bytes
) -> dict[str, Any]:
    patient, risk = f"made-up-{number}", chance.betavariate(2, 12)
    groups = {"sex": chance.choice(("female", "male")), "age_band": chance.choice(("45 to 64", ""))}
    return {
        "patient_index": index_of(keeping.keys, "patient", patient),
        "patient_sealed": seal(keeping.keys, patient, "work_list.patient"),
        "stay_index": index_of(keeping.keys, "stay", patient),
        "score_id": f"{number:032x}",
        "unit": chance.choice(UNITS),
        "probability": risk,
        "band": "high" if risk > 0.2 else "moderate" if risk > 0.1 else "low",
        "lace": chance.randrange(20),
        "hospital": chance.randrange(14),
        "discharged_at": None if number % 10 == 0 else now - chance.randrange(30 * DAY),
        "remaining": risk * chance.random(),
        "condition_group": chance.choice(CONDITIONS),
        "groups": json.dumps(groups),
        "summary_sealed": summary,
        "fingerprint": "0" * 64,
        "run": "0" * 32,
    }


def _worked(row: dict[str, Any], chance: random.Random, now: int) -> dict[str, Any]:
    return {
        "stay_index": row["stay_index"],
        "patient_index": row["patient_index"],
        "status": chance.choice(("contacted", "visit_booked", "declined", "closed")),
        "assigned_to": chance.choice((None, "made-up-issuer|made-up-person")),
        "due_on": chance.choice((None, "2026-03-01", "2026-03-02")),
        "version": 1,
        "changed_at": now,
    }


async def _measured(name: str, settings: Settings) -> list[Result]:
    model = SimpleNamespace(
        reference=SimpleNamespace(profile="default"), name="none", version="0", fingerprint="0"
    )
    app = create_app(settings, model)  # type: ignore[arg-type]  # stands in; it is never asked
    async with app.router.lifespan_context(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        async with client:
            took: dict[str, list[float]] = {}
            for _ in range(ROUNDS):
                for what, asked in ASKED.items():
                    first = await _ask(client, took, what, asked)
                    if first["next"]:
                        await _ask(client, took, what, asked | {"after": first["next"]})
                await _ask(client, took, "twenty calls", {"calls": 20}, "/v1/worklist/capacity")
    every = [seconds for each in took.values() for seconds in each]
    return [
        at_most(
            f"{name}, {PATIENTS:,} patients: a page of 50, p95",
            _p95(every) * 1000,
            500,
            "ms",
            f"p50 {statistics.median(every) * 1000:.0f} ms",
        ),
        *(figure(f"{name}: {what}, p95", _p95(each) * 1000, "ms") for what, each in took.items()),
    ]


async def _ask(
    client: httpx.AsyncClient,
    took: dict[str, list[float]],
    what: str,
    asked: dict[str, Any],
    path: str = "/v1/worklist",
) -> Any:
    began = time.perf_counter()
    answer = await client.get(path, params=asked)
    took.setdefault(what, []).append(time.perf_counter() - began)
    answer.raise_for_status()
    return answer.json()


def _p95(values: list[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.95) - 1]
