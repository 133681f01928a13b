"""Golden pairs: fictitious records, and the lines that an export of them must have."""

import json
from pathlib import Path
from typing import Any

from records import encode, ndjson, written

from fhir_mappings.deidentification.dates import Dates
from fhir_mappings.deidentification.export import REPORT, export
from fhir_mappings.profiles import load_profile

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(file.name.removesuffix(".records.json") for file in FOLDER.glob("*.records.json"))
KEY = bytes(range(32))
"""No secret: the pseudonyms of the golden pairs are made with it."""


def exported(folder: Path, content: bytes, dates: Dates = Dates.YEAR, **options: Any) -> Path:
    """The folder of an export of these lines, or of this Bundle."""
    source = written(folder / "records" / "records.ndjson", content)
    out = folder / "out"
    options.setdefault("keep_pseudonyms", True)
    export([source], out, KEY, load_profile("default"), dates=dates, **options)
    return out


def golden(name: str, dates: Dates, folder: Path) -> dict[str, list[Any]]:
    """What comes of a pair's records now, by file."""
    records = json.loads((FOLDER / f"{name}.records.json").read_text(encoding="utf-8"))
    content = ndjson(*records) if isinstance(records, list) else encode(records)
    out = exported(folder, content, dates)
    return {
        file.name: [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for file in sorted(out.iterdir())
        if file.name != REPORT
    }


def expectation(name: str, dates: Dates) -> Path:
    """The file of what must come of it."""
    return FOLDER / f"{name}.{dates.name.lower()}.json"
