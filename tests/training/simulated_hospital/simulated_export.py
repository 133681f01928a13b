"""A plain reader of a simulated export that shares no code with the simulation."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from training.simulated_hospital import SimulationSummary


class Hospital:
    """A simulated export as somebody who knows FHIR, and nothing else, would read it."""

    def __init__(self, folder: Path, summary: SimulationSummary) -> None:
        self.folder = folder
        self.summary = summary
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.malformed = 0
        for file in sorted(folder.glob("*.ndjson*")):
            for line in _lines(file):
                record = _parse(line)
                if record is None:
                    self.malformed += 1
                else:
                    self.lines.append((file.name, record))
        with (folder / "truth" / "truth.csv").open(newline="") as file:
            self.truth = list(csv.DictReader(file))
        self.drivers = json.loads((folder / "truth" / "drivers.txt").read_bytes())
        self.current = _latest_versions([record for _, record in self.lines])

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The last version of each resource of a type, errors left out."""
        return [
            record
            for (found, _), record in self.current.items()
            if found == kind and record.get("status") not in ("entered-in-error", "cancelled")
        ]


def _lines(file: Path) -> Iterator[bytes]:
    if file.suffix == ".gz":
        with gzip.open(file) as stream:
            yield from stream
    else:
        with file.open("rb") as stream:
            yield from stream


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(record, dict) or isinstance(record.get("code"), str):
        return None
    return record


def _latest_versions(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        key = (record["resourceType"], record["id"])
        earlier = latest.get(key)
        if earlier is None or _updated(earlier) <= _updated(record):
            latest[key] = record
    return latest


def _updated(record: dict[str, Any]) -> str:
    return str(record.get("meta", {}).get("lastUpdated", ""))


def when(written: str) -> datetime:
    """A FHIR instant as a moment with its offset."""
    return datetime.fromisoformat(written)
