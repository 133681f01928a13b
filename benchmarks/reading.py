"""Reading NDJSON into the store, against bare decoding and against full validation.

Peers: ``msgspec.json.decode`` of the same lines into plain Python objects, which reads and checks
no more than JSON; and ``fhir.resources.R4B``, which validates every element.
"""

from pathlib import Path

import msgspec
from fhir.resources.R4B import get_fhir_model_class

from benchmarks.measuring import Result, at_least, at_most, figure, in_turns
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import MAPPINGS
from fhir_mappings.records.decoding import decode
from fhir_mappings.records.files import export_files, pieces
from fhir_mappings.sources.reading import Reading
from training.simulated_hospital import simulate

PATIENTS = 1500
RUNS = 3
VALIDATED = 3000
"""Lines that are validated: the peer takes a hundred times as long."""


def run(folder: Path) -> list[Result]:
    """Measure on a simulated export."""
    records = folder / "records"
    simulate(records, PATIENTS, 1)
    profile = load_profile("default")
    lines = [piece.raw for file in export_files(records) for piece in pieces(file)]
    lines = [line for line in lines if not hasattr(decode(line), "reason")]
    number = 0

    def store() -> None:
        nonlocal number
        number += 1
        ingest([records], folder / f"store{number}", profile)

    def bare() -> None:
        for file in export_files(records):
            for piece in pieces(file):
                if piece.raw in _broken:
                    continue
                msgspec.json.decode(piece.raw)

    _broken = _broken_lines(records)
    ingest([records], folder / "warm", profile)
    seconds = in_turns(RUNS, store=store, bare=bare)
    size = sum(map(len, lines))
    sample = lines[:: max(1, len(lines) // VALIDATED)]
    reading = Reading(profile)

    def ours() -> None:
        for line in sample:
            record = decode(line)
            mapping = MAPPINGS.get(type(record))
            if mapping is not None:
                mapping(record, reading)

    def validated() -> None:
        for line in sample:
            resource = msgspec.json.decode(line)
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)

    checked = in_turns(RUNS, ours=ours, validated=validated)
    return [
        at_most(
            "NDJSON into the store / bare msgspec decoding",
            seconds["store"] / seconds["bare"],
            5,
            detail=f"{len(lines):,} lines, {size / 1e6:.0f} MB, simulated",
        ),
        at_least(
            "fhir.resources.R4B validation / decoding and mapping, same lines",
            checked["validated"] / checked["ours"],
            10,
            detail=f"{len(sample):,} lines",
        ),
        figure("into the store", len(lines) / seconds["store"], "resources a second"),
    ]


def _broken_lines(records: Path) -> set[bytes]:
    """The lines that the simulation breaks on purpose, which the bare decoder cannot take."""
    broken = set()
    for file in export_files(records):
        for piece in pieces(file):
            try:
                msgspec.json.decode(piece.raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                broken.add(piece.raw)
    return broken
