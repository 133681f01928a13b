"""A few patients each of the real and generated records beside the project."""

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from records import RECORDS, bundle_timeline, needs_records

from fhir_mappings.timeline import Timeline

PATIENTS = 3
_LINES = 20_000
"""Lines read of each file: what is written of the first patients, not all of an export."""
_SUBJECT = re.compile(rb'"subject": ?\{"reference": ?"Patient/([^"]+)"')
_MEDICATION = re.compile(rb'Medication/([^"]+)"')


class Sample(NamedTuple):
    """A folder of records with the site profile that fits it."""

    folder: str
    profile: str

    def __str__(self) -> str:
        return self.profile

    def patients(self) -> list[str]:
        """The patients with most records among those with several stays."""
        return sorted(_records(self))

    def lines(self, subject: str) -> list[bytes]:
        """One patient's resources, each as it stands in the export."""
        return _records(self)[subject]

    def bundle(self, subject: str) -> bytes:
        """The same resources as a Bundle."""
        entries = b",".join(b'{"resource":' + line + b"}" for line in self.lines(subject))
        return b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"


def sample_timeline(sample: Sample, subject: str) -> Timeline:
    """A patient of a sample, by way of a Bundle."""
    return bundle_timeline(sample.bundle(subject), sample.profile)


SAMPLES = [
    pytest.param(Sample(folder, profile), marks=needs_records, id=profile)
    for folder, profile in (
        ("mimic-iv-demo-fhir", "mimic"),
        ("synthea", "synthea"),
        ("clinosim", "clinosim"),
    )
]


@cache
def _records(sample: Sample) -> dict[str, list[bytes]]:
    folder = RECORDS / sample.folder
    return _of_bundles(folder) if sample.folder == "synthea" else _of_lines(folder)


def _of_bundles(folder: Path) -> dict[str, list[bytes]]:
    """The smallest Bundles that hold a stay, with `urn:uuid:` references throughout."""
    found: dict[str, list[bytes]] = {}
    for file in sorted(folder.glob("*.json.gz"), key=lambda file: file.stat().st_size):
        raw = gzip.decompress(file.read_bytes())
        if raw.count(b'"code": "IMP"') < 2:
            continue
        resources = [entry["resource"] for entry in json.loads(raw)["entry"]]
        (subject,) = [each["id"] for each in resources if each["resourceType"] == "Patient"]
        found[subject] = [json.dumps(each).encode() for each in resources]
        if len(found) == PATIENTS:
            break
    return found


def _of_lines(folder: Path) -> dict[str, list[bytes]]:
    by_patient: dict[str, list[bytes]] = defaultdict(list)
    encounters: Counter[str] = Counter()
    drugs: dict[str, bytes] = {}
    for line in _lines(folder):
        subject = _SUBJECT.search(line)
        if subject is not None:
            name = subject.group(1).decode()
            by_patient[name].append(line)
            encounters[name] += b'"hospitalization"' in line or b'"code": "IMP"' in line
        elif b'"resourceType": "Patient"' in line:
            by_patient[_id(line)].append(line)
        elif b'"resourceType": "Medication"' in line:
            drugs[_id(line)] = line
    chosen = [name for name, stays in encounters.most_common() if 2 <= stays <= 8][:PATIENTS]
    return {name: by_patient[name] + _drugs_of(by_patient[name], drugs) for name in chosen}


def _lines(folder: Path) -> Iterator[bytes]:
    for file in sorted(folder.glob("*.ndjson.gz")):
        with gzip.open(file) as stream:
            for line, _ in zip(stream, range(_LINES), strict=False):
                yield line.strip()


def _id(line: bytes) -> str:
    return str(json.loads(line)["id"])


def _drugs_of(lines: list[bytes], drugs: dict[str, bytes]) -> list[bytes]:
    """The Medications that these lines name, and those that are mixed in them."""
    named: dict[str, bytes] = {}
    waiting = lines
    while waiting:
        names = {name.decode() for line in waiting for name in _MEDICATION.findall(line)}
        waiting = [drugs[name] for name in sorted(names & set(drugs) - set(named))]
        named |= {_id(line): line for line in waiting}
    return list(named.values())
