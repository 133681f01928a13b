"""Reading NDJSON into the store, against bare decoding and against full validation.

Peers: ``msgspec.json.decode`` of the same lines into plain Python objects, which reads and checks
no more than JSON; and ``fhir.resources.R4B``, which validates every element.
"""

import contextlib
import shutil
from itertools import islice
from pathlib import Path

import msgspec
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from benchmarks.measuring import Result, at_least, at_most, figure, in_turns
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.reading import MAPPINGS
from fhir_mappings.records.decoding import decode
from fhir_mappings.records.files import export_files, pieces
from fhir_mappings.sources.reading import Reading
from training.simulated_hospital import simulate

PATIENTS = 1500
RUNS = 3
VALIDATED = 3000
"""Lines that are validated: the peer takes a hundred times as long."""


BESIDE = Path(__file__).parents[2] / "shared" / "data" / "clinosim"
"""Generated records whose lines are as long as an EHR's (1.2 KB); measured where they are there."""


def run(folder: Path) -> list[Result]:
    """Measure on a simulated export, and on generated records of real size where there are any."""
    records = folder / "records"
    simulate(records, PATIENTS, 1)
    results = _into_the_store(folder / "simulated", records, load_profile("default"), "simulated")
    results += _against_validation(records, load_profile("default"), "simulated")
    if BESIDE.is_dir():
        profile = load_profile("clinosim")
        results += _into_the_store(folder / "beside", BESIDE, profile, "clinosim")
        results += _against_validation(BESIDE, profile, "clinosim")
    return results


def _into_the_store(folder: Path, records: Path, profile: SiteProfile, name: str) -> list[Result]:
    sizes: list[int] = []
    number = 0

    def store() -> None:
        nonlocal number
        number += 1
        ingest([records], folder / f"store{number}", profile)
        shutil.rmtree(folder)

    def bare() -> None:
        sizes.clear()
        for file in export_files(records):
            for piece in pieces(file):
                sizes.append(len(piece.raw))
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    # The simulated export holds a few broken lines on purpose.
                    msgspec.json.decode(piece.raw)

    store()
    seconds = in_turns(RUNS, store=store, bare=bare)
    lines = f"{len(sizes):,} lines of {sum(sizes) / len(sizes):,.0f} bytes, {name}"
    return [
        at_most(
            f"{name}: NDJSON into the store / bare msgspec decoding",
            seconds["store"] / seconds["bare"],
            5,
            detail=lines,
        ),
        figure(f"{name}: into the store", len(sizes) / seconds["store"], "lines a second"),
    ]


def _against_validation(records: Path, profile: SiteProfile, name: str) -> list[Result]:
    reading = Reading(profile)
    whole = sum(1 for file in export_files(records) for _ in pieces(file))
    lines = (piece.raw for file in export_files(records) for piece in pieces(file))
    every = islice(lines, 0, None, max(1, whole // VALIDATED))
    sample = [line for line in every if type(decode(line)) in MAPPINGS]

    def ours() -> None:
        for line in sample:
            record = decode(line)
            MAPPINGS[type(record)](record, reading)  # type: ignore[index]  # sampled to be one

    def validated() -> None:
        for line in sample:
            resource = msgspec.json.decode(line)
            with contextlib.suppress(ValidationError):
                # Some generated records are not quite R4; finding that out takes as long.
                get_fhir_model_class(resource["resourceType"]).model_validate(resource)

    seconds = in_turns(RUNS, ours=ours, validated=validated)
    return [
        at_least(
            f"{name}: fhir.resources.R4B validation / decoding and mapping, same lines",
            seconds["validated"] / seconds["ours"],
            10,
            detail=f"{len(sample):,} lines",
        )
    ]
