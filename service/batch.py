"""Scoring a whole store: every stay at its discharge, into a table with reasons."""

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from fhir_mappings.consent import OptOuts, used_now, why_refused
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.stays import Stay
from fhir_mappings.store import Store
from fhir_mappings.timeline import Timeline
from service.score import Scored
from service.scoring import score_stay
from service.spreadsheet import cell
from service.wording import local_time

if TYPE_CHECKING:
    from training.risk_model import Prediction, RiskModel

REASONS = 5
"""How many reasons a line of the table names."""

UNPROCESSABLE = "unprocessable"
"""Why a stay is not scored whose record the service would refuse: a value beyond computing."""

Progress = Callable[[str, int, int], None]


class Ledger(Protocol):
    """Keeps what each score was made of, so that it can be recomputed (``training.replay``)."""

    def add(
        self,
        subject: str,
        encounter_id: str,
        as_of: int,
        row: Sequence[float],
        prediction: "Prediction",
    ) -> str:
        """Keep one score, of a moment in microseconds UTC, and return its id."""

    def finish(self) -> object:
        """All scores are kept from here on."""


class BatchSummary(msgspec.Struct, frozen=True):
    """What a batch run scored, and what it did not and why."""

    stays: int
    scored: int
    not_scored: dict[str, int]
    """By the code of the reason."""
    seconds: float


COLUMNS = (
    "subject",
    "encounter_id",
    "as_of",
    "status",
    "probability",
    "band",
    "lace",
    "hospital",
    *(f"reason_{number}" for number in range(1, REASONS + 1)),
    "not_scored",
    "model",
    "version",
    "score_id",
)
"""The columns of the table, in order."""


def score_store(
    store: Store,
    profile: SiteProfile,
    model: "RiskModel",
    out: Path,
    progress: Progress,
    ledger: Ledger | None = None,
    *,
    opt_outs: OptOuts | None = None,
) -> BatchSummary:
    """Score every stay that has ended and write a line for each, scored or not.

    Stays of patients who opted out are counted and not listed.

    The table is written beside ``out`` and takes its place when it is whole, so that a reader
    never finds half of it.

    Args:
        store: the records.
        profile: the site profile that they were read with.
        model: the risk model.
        out: where the table goes.
        progress: told each shard.
        ledger: keeps each score, before the table is in place; without it no score has an id.
        opt_outs: the site's list and the moment of use; without it nobody is listed, and it is now.

    Raises:
        UnprocessableError: if ``out`` ends in neither ``.csv`` nor ``.parquet``.

    """
    if out.suffix not in (".csv", ".parquet"):
        raise UnprocessableError(f"{out}: the name must end in .csv or .parquet")
    began = time.perf_counter()
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    counts: Counter[str] = Counter()
    opt_outs = used_now(profile) if opt_outs is None else opt_outs
    lines = _lines(store, profile, model, counts, progress, ledger, opt_outs)
    if out.suffix == ".csv":
        _write_csv(unfinished, lines)
    else:
        _write_parquet(unfinished, lines)
    if ledger is not None:
        ledger.finish()
    unfinished.replace(out)
    scored = counts.pop("scored", 0)
    stays = scored + sum(counts.values())
    not_scored = {code: count for code, count in sorted(counts.items()) if count}
    return BatchSummary(stays, scored, not_scored, time.perf_counter() - began)


def _lines(
    store: Store,
    profile: SiteProfile,
    model: "RiskModel",
    counts: Counter[str],
    progress: Progress,
    ledger: Ledger | None,
    opt_outs: OptOuts,
) -> Iterator[dict[str, Any]]:
    concepts = site_concepts(profile)
    for shard in range(store.shards):
        for subject, events in store.read_shard(shard):
            timeline = Timeline(subject, events, concepts, profile)
            why = why_refused(subject, timeline.consents, "scoring", opt_outs)
            if why is not None:
                counts[why] += len(timeline.stays)
                continue
            for stay in timeline.stays:
                if stay.end is None:
                    counts["no_discharge"] += 1
                    continue
                line = _line(model, timeline, stay, stay.end, ledger, opt_outs)
                counts[line["not_scored"] or "scored"] += 1
                yield line
        progress("score", shard + 1, store.shards)


def _line(
    model: "RiskModel",
    timeline: Timeline,
    stay: Stay,
    discharge: int,
    ledger: Ledger | None,
    opt_outs: OptOuts,
) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(COLUMNS)
    line.update(
        subject=timeline.subject,
        encounter_id=stay.name,
        as_of=local_time(discharge, stay.utc_offset).isoformat(timespec="seconds"),
        status="not_scored",
        model=model.name,
        version=model.version,
    )

    def note(row: Sequence[float], prediction: "Prediction") -> None:
        if ledger is not None:
            line["score_id"] = ledger.add(timeline.subject, stay.name, discharge, row, prediction)

    try:
        score = score_stay(
            model, timeline, stay, discharge, opt_outs=opt_outs, max_reasons=REASONS, note=note
        )
    except UnprocessableError:
        # The service refuses such a record; a batch lists it and goes on with the other stays.
        line["not_scored"] = UNPROCESSABLE
        return line
    if not isinstance(score, Scored):
        line["not_scored"] = score.reason.code
        return line
    line.update(
        status=score.status,
        probability=round(score.probability, 6),
        band=score.band,
        lace=score.lace.points,
        hospital=score.hospital.points,
    )
    for number, reason in enumerate(score.reasons, start=1):
        line[f"reason_{number}"] = f"{reason.phrase} ({reason.direction} the risk)"
    return line


def _write_csv(out: Path, lines: Iterator[dict[str, Any]]) -> None:
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for line in lines:
            writer.writerow({name: cell(value) for name, value in line.items()})


def _write_parquet(out: Path, lines: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = {"probability": pa.float64(), "lace": pa.int32(), "hospital": pa.int32()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in COLUMNS])
    with pq.ParquetWriter(out, schema) as writer:
        batch: list[dict[str, Any]] = []
        for line in lines:
            batch.append(line)
            if len(batch) == 10_000:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))
