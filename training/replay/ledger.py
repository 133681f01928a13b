"""The ledger of scores: for each score that was given, all that it takes to compute it again.

It lies in the event store's folder, because it holds patients' data as the store does, and outlives
the store's generations. Each batch run adds one Parquet file, which takes its name when it is whole
and is never changed; scoring again adds another.
"""

import datetime
import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fhir_mappings.errors import UnprocessableError
from fhir_mappings.store.generations import sync

if TYPE_CHECKING:
    from training.risk_model import Prediction, RiskModel

LEDGER = "scores"
"""The folder of the ledger within that of the store."""
SCHEMA = pa.schema(
    [
        ("score_id", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
        ("model", pa.string()),
        ("version", pa.string()),
        ("manifest_sha256", pa.string()),
        ("subject", pa.string()),
        ("encounter_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("row", pa.list_(pa.float32())),
        ("probability", pa.float64()),
        ("log_odds", pa.float64()),
        ("contributions", pa.list_(pa.float64())),
    ]
)
"""``row`` is what the trees saw, in single precision and in the order of the model's features; NaN
where a value is missing. ``contributions`` stand in the same order, in log-odds."""
_BUFFER = 5_000
_ID_LENGTH = 20
"""Hexadecimal digits of a score's id: 80 bits, so that a billion scores hardly ever share one."""


@dataclass(frozen=True)
class KeptScore:
    """A score as it was given."""

    score_id: str
    scored_at: int
    """Microseconds UTC."""
    model: str
    version: str
    manifest_sha256: str
    subject: str
    encounter_id: str
    as_of: int
    """Microseconds UTC."""
    row: npt.NDArray[np.float32]
    probability: float
    log_odds: float
    contributions: tuple[float, ...]


def score_id(manifest_sha256: str, encounter_id: str, as_of: int, row: Sequence[float]) -> str:
    """The id of a score: the same model, stay, moment and inputs always give the same one.

    Args:
        manifest_sha256: of the model.
        encounter_id: of the stay.
        as_of: the moment of scoring, microseconds UTC.
        row: the value of each of the model's features, NaN where missing.
    """
    told = f"{manifest_sha256}\n{encounter_id}\n{as_of}\n".encode()
    return hashlib.sha256(told + row_bytes(row)).hexdigest()[:_ID_LENGTH]


def row_bytes(row: Sequence[float] | npt.NDArray[np.float32]) -> bytes:
    """A row as the trees see it: single precision, little-endian, one NaN for what is absent."""
    values = np.array(row, dtype="<f4")
    values[np.isnan(values)] = np.nan
    return values.tobytes()


class Part:
    """What one batch run adds to the ledger of a store; a context manager.

    Call ``add`` for each score and ``finish`` when all are added: without it nothing is kept.
    """

    def __init__(self, store: Path, model: "RiskModel") -> None:
        self._folder = store / LEDGER
        self._model = model
        self._now = datetime.datetime.now(datetime.UTC)
        self._waiting: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{self._now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}.parquet"
        self._path = self._folder / name
        self._unfinished = self._folder / f".{name}.unfinished"
        os.close(os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        self._writer = pq.ParquetWriter(self._unfinished, SCHEMA, compression="zstd")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._unfinished.unlink(missing_ok=True)

    def add(
        self,
        subject: str,
        encounter_id: str,
        as_of: int,
        row: Sequence[float],
        prediction: "Prediction",
    ) -> str:
        """Keep one score and return its id."""
        identity = score_id(self._model.fingerprint, encounter_id, as_of, row)
        self._waiting.append(
            {
                "score_id": identity,
                "scored_at": self._now,
                "model": self._model.name,
                "version": self._model.version,
                "manifest_sha256": self._model.fingerprint,
                "subject": subject,
                "encounter_id": encounter_id,
                "as_of": as_of,
                "row": np.asarray(row, dtype=np.float32),
                "probability": prediction.probability,
                "log_odds": prediction.log_odds,
                "contributions": prediction.contributions,
            }
        )
        if len(self._waiting) >= _BUFFER:
            self._flush()
        return identity

    def finish(self) -> Path:
        """Put the part in place at once, on disk before anybody reads it."""
        self._flush()
        self._writer.close()
        sync(self._unfinished)
        self._unfinished.replace(self._path)
        sync(self._folder)  # or a power cut could take the name back
        return self._path

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._waiting, SCHEMA))
        self._waiting = []


def parts_before(store: Path, moment: datetime.datetime) -> list[Path]:
    """The parts whose scores were all given before a moment, and what killed runs left of parts.

    A part is named after the second in which its run began, and an unfinished one may be of a run
    that goes on: it counts from the moment when it was last written to.

    Args:
        store: the event store's folder.
        moment: with its time zone.
    """
    before = f"{moment.astimezone(datetime.UTC):%Y%m%dT%H%M%S}"
    folder = store / LEDGER
    whole = [path for path in folder.glob("[0-9]*.parquet") if path.name[: len(before)] < before]
    left = [
        path
        for path in folder.glob(".*.unfinished")
        if datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC) < moment
    ]
    return sorted(whole) + sorted(left)


def find_score(store: Path, score_id: str) -> KeptScore:
    """The score of an id as it was first given.

    Raises:
        UnprocessableError: if the ledger holds none of that id.
    """
    for path in sorted((store / LEDGER).glob("*.parquet")):
        found = pq.read_table(path, filters=[("score_id", "=", score_id)], partitioning=None)
        if found.num_rows:
            return _kept(found.slice(0, 1))
    raise UnprocessableError(f"no score {score_id} was kept in this store")


def _kept(table: pa.Table) -> KeptScore:
    moments = ("scored_at", "as_of")
    values = {
        name: table.column(name).cast(pa.int64())[0].as_py()
        if name in moments
        else table.column(name)[0].as_py()
        for name in SCHEMA.names
        if name not in ("row", "contributions")
    }
    row = table.column("row")[0].values.to_numpy(zero_copy_only=False)
    return KeptScore(
        **values, row=row, contributions=tuple(table.column("contributions")[0].as_py())
    )
