"""Sixty features over a thousand events, and memory while a store grows tenfold.

Peer: decoding the same thousand events' records with ``msgspec``, the least that anybody who
starts from FHIR must do.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.measuring import Result, at_most, figure, in_turns
from fhir_mappings.events import DAY, HOUR, Event
from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.engine import View
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.timeline import Timeline
from training.simulated_hospital import simulate

FEATURES, EVENTS, PATIENTS = 60, 1000, 200
_CODES = (
    ("LOINC|2951-2", "mmol/L", 138.0, "observation"),
    ("LOINC|2823-3", "mmol/L", 4.1, "observation"),
    ("LOINC|2160-0", "mg/dL", 1.1, "observation"),
    ("LOINC|718-7", "g/dL", 11.9, "observation"),
    ("LOINC|8867-4", "/min", 84.0, "observation"),
    ("LOINC|8480-6", "mm[Hg]", 128.0, "observation"),
    ("ICD10CM|I509", None, None, "diagnosis"),
    ("RXNORM|4603", None, None, "medication-order"),
    ("SNOMED|265764009", None, None, "procedure"),
    ("LOINC|0000-0", "mg/dL", 1.0, "observation"),
)


def patient_events(number: int) -> list[Event]:
    """A thousand events of one made-up patient: ten stays over three years, labs in each."""
    subject, events = f"patient-{number}", []

    def add(time: int, code: str, **more: object) -> None:
        source = f"Made/{number}-{len(events)}"
        fields = {
            "subject": subject, "time": time, "end": None, "known_at": time, "kind": "observation",
            "code": code, "value": None, "unit": None, "text": None, "encounter": None,
            "source": source, "updated": 0, "utc_offset": 0, "dated_by": "record",
        }  # fmt: skip
        events.append(Event(**(fields | more)))  # type: ignore[arg-type]  # made up from parts

    add(-20_000 * DAY, "MEDS_BIRTH", kind="patient")
    starts = [18_000 * DAY + stay * 100 * DAY for stay in range(10)]
    for stay, start in enumerate(starts):
        add(
            start,
            "readmit/encounter|inpatient",
            end=start + 5 * DAY,
            kind="encounter",
            encounter=f"e{stay}",
        )
    while len(events) < EVENTS:
        code, unit, value, kind = _CODES[len(events) % len(_CODES)]
        start = starts[len(events) % len(starts)]
        add(
            start + (len(events) % 110) * HOUR,
            code,
            unit=unit,
            value=value,
            kind=kind,
            encounter="e0",
        )
    return events


def run(folder: Path) -> list[Result]:
    """Measure time a patient, then memory over a store and one ten times as large."""
    profile = load_profile("default")
    concepts = site_concepts(profile)
    features = declared_features()[:FEATURES]
    patients = [patient_events(number) for number in range(PATIENTS)]
    encoded = [msgspec.json.encode([event._asdict() for event in events]) for events in patients]

    def rows() -> None:
        for events in patients:
            timeline = Timeline(events[0].subject, events, concepts, profile)
            stay = timeline.stays[-1]
            View(timeline, stay, stay.end or 0).row(features)

    def decoding() -> None:
        for each in encoded:
            msgspec.json.decode(each)

    seconds = in_turns(5, rows=rows, decoding=decoding)
    milliseconds = 1000 * seconds["rows"] / PATIENTS
    small = _peak_mb(folder / "small", 600)
    large = _peak_mb(folder / "large", 6000)
    return [
        at_most(
            "timeline and 60 features over 1,000 events",
            milliseconds,
            2,
            "ms a patient",
            "one core",
        ),
        figure(
            "the same / bare decoding of the events", seconds["rows"] / seconds["decoding"], "x"
        ),
        at_most(
            "peak memory, rows of a store ten times as large",
            large / small,
            1.15,
            detail=f"{small:.0f} MB, {large:.0f} MB; simulated",
        ),
    ]


def _peak_mb(folder: Path, patients: int) -> float:
    """Peak resident memory of a process that computes every row of a simulated store."""
    records, store = folder / "records", folder / "store"
    simulate(records, patients, 1)
    # Few shards, so that the small store fills its row groups too: they are what is held at once.
    ingest([records], store, load_profile("default"), shards=4)
    command = [sys.executable, str(Path(__file__).with_name("walk_store.py")), str(store)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)
