"""The records of the simulated hospital, found by patient without being held in memory.

An export keeps the records of one patient side by side, so that a few ranges of bytes lead to all
of them: 5,000 patients with 700,000 records take a few megabytes. Gzipped files are unpacked into a
nameless temporary file. Nothing is ever written to the folder.
"""

import gzip
import re
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Self

import msgspec

from service.demo_ehr.moved_dates import MovedDates, days_until

Resource = dict[str, Any]

_PATIENT: Final = re.compile(rb'"reference":"Patient/([A-Za-z0-9\-.]{1,64})"')
_ITSELF: Final = re.compile(rb'"resourceType":"Patient","id":"([A-Za-z0-9\-.]{1,64})"')
_HELD_PATIENTS: Final = 32
"""Of these the records are kept as they were read: a chart and a hook ask for the same ones."""
_OF_NOBODY: Final = ("Medication", "Organization")


class _Period(msgspec.Struct):
    start: str = ""
    end: str | None = None


class _Reference(msgspec.Struct):
    reference: str = ""


class _Stay(msgspec.Struct, rename="camel"):
    """As much of an Encounter as tells whether somebody is in hospital."""

    id: str
    status: str
    subject: _Reference
    service_provider: _Reference = msgspec.field(default_factory=_Reference)
    period: _Period = msgspec.field(default_factory=_Period)


class RecentStay(NamedTuple):
    """A hospital stay that goes on, or ended in the hospital's last weeks."""

    patient: str
    encounter: str
    unit: str
    """The id of the Organization."""
    start: str
    end: str | None
    """None as long as it goes on."""


class _Range(NamedTuple):
    file: int
    start: int
    end: int


class HospitalRecords:
    """The records of one folder; a context manager that holds its files open."""

    def __init__(self, folder: Path, today: date, *, recent_days: int = 35) -> None:
        """Name the folder; it is read on entry.

        Args:
            folder: of NDJSON files, some gzipped, as the simulated hospital exports them.
            today: the day before which the moved records end.
            recent_days: how long ago a stay may have ended to be listed.

        """
        self._folder = folder
        self._today = today
        self._recent_days = recent_days
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = []
        self._ranges: dict[str, list[_Range]] = {}
        self._of_nobody: dict[tuple[str, str], Resource] = {}
        self._held: OrderedDict[str, dict[tuple[str, str], Resource]] = OrderedDict()
        self.dates = MovedDates(0)
        """How far the records are moved."""
        self.recent: tuple[RecentStay, ...] = ()
        """Who is in hospital, or was lately."""

    def __enter__(self) -> Self:
        stays: list[_Stay] = []
        for path in sorted(self._folder.glob("*.ndjson*")):
            self._files.append(self._stack.enter_context(_opened(path)))
            self._index(len(self._files) - 1, stays)
        self._look_back(stays)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def patients(self) -> Iterator[str]:
        """The ids of all patients."""
        return iter(self._ranges)

    def knows(self, patient: str) -> bool:
        """Whether there is such a patient."""
        return patient in self._ranges

    def of_patient(self, patient: str) -> dict[tuple[str, str], Resource]:
        """All records of a patient, the Patient among them, by type and id; of each the latest.

        They are for reading: whoever changes one makes a copy.
        """
        if patient in self._held:
            self._held.move_to_end(patient)
            return self._held[patient]
        found: dict[tuple[str, str], Resource] = {}
        for line in self._lines(patient):
            _keep_latest(found, _resource(self.dates.move(line)))
        self._held[patient] = found
        if len(self._held) > _HELD_PATIENTS:
            self._held.popitem(last=False)
        return found

    def read(self, kind: str, identifier: str) -> Resource | None:
        """One record. Those of a patient have ids that begin with the patient's."""
        if kind in _OF_NOBODY:
            return self._of_nobody.get((kind, identifier))
        patient = self.patient_of(identifier)
        return None if patient is None else self.of_patient(patient).get((kind, identifier))

    def of_nobody(self, kind: str) -> list[Resource]:
        """Records that are about no patient, by type."""
        return [one for (its, _), one in self._of_nobody.items() if its == kind]

    def patient_of(self, identifier: str) -> str | None:
        """The patient whose id a record's id begins with."""
        words = identifier.split("-")
        for length in range(len(words), 0, -1):
            name = "-".join(words[:length])
            if name in self._ranges:
                return name
        return None

    def _lines(self, patient: str) -> Iterator[bytes]:
        for file, start, end in self._ranges.get(patient, ()):
            self._files[file].seek(start)
            yield from self._files[file].read(end - start).splitlines()

    def _index(self, file: int, stays: list[_Stay]) -> None:
        position, patient, marker = 0, "", b"\0"
        for line in self._files[file]:
            start, position = position, position + len(line)
            if marker not in line:
                found = _ITSELF.search(line) or _PATIENT.search(line)
                if found is None:
                    self._index_of_nobody(line)
                    patient, marker = "", b"\0"
                    continue
                patient, marker = found[1].decode("ascii"), found[1] + b'"'
            self._extend(patient, _Range(file, start, position))
            if b'"code":"IMP"' in line and b'"Encounter"' in line:
                stays.append(msgspec.json.decode(line, type=_Stay))

    def _extend(self, patient: str, new: _Range) -> None:
        ranges = self._ranges.setdefault(patient, [])
        if ranges and ranges[-1].file == new.file and ranges[-1].end == new.start:
            ranges[-1] = ranges[-1]._replace(end=new.end)
        else:
            ranges.append(new)

    def _index_of_nobody(self, line: bytes) -> None:
        resource = _resource(line)
        if resource is not None and resource["resourceType"] in _OF_NOBODY:
            self._of_nobody[resource["resourceType"], resource["id"]] = resource

    def _look_back(self, stays: list[_Stay]) -> None:
        """Find the hospital's last day, and who was there then or shortly before."""
        real = [one for one in stays if one.status in ("in-progress", "finished")]
        days = [(one.period.end or one.period.start)[:10] for one in real]
        if not days:
            return
        last = date.fromisoformat(max(days))
        self.dates = MovedDates(days_until(last, self._today))
        since = date.fromordinal(last.toordinal() - self._recent_days).isoformat()
        listed = (one for one in real if one.period.end is None or one.period.end[:10] >= since)
        latest: dict[str, RecentStay] = {}
        for stay in map(self._recent, listed):
            # Of a patient the latest: of a chain of transfers, where they are now.
            if stay.patient not in latest or latest[stay.patient].start <= stay.start:
                latest[stay.patient] = stay
        self.recent = tuple(sorted(latest.values(), key=lambda one: one.start, reverse=True))

    def _recent(self, stay: _Stay) -> RecentStay:
        return RecentStay(
            patient=stay.subject.reference.removeprefix("Patient/"),
            encounter=stay.id,
            unit=stay.service_provider.reference.removeprefix("Organization/"),
            start=self.dates.moment(stay.period.start),
            end=None if stay.period.end is None else self.dates.moment(stay.period.end),
        )


def _opened(path: Path) -> IO[bytes]:
    if path.suffix != ".gz":
        return path.open("rb")
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115  the caller's stack closes it
    with gzip.open(path) as packed:
        shutil.copyfileobj(packed, unpacked)
    unpacked.seek(0)
    return unpacked


def _resource(line: bytes) -> Resource | None:
    """A line's record; None where it is broken: the simulated export holds such on purpose."""
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    proper = isinstance(found, dict) and isinstance(found.get("id"), str)
    return found if proper and isinstance(found.get("resourceType"), str) else None


def _keep_latest(found: dict[tuple[str, str], Resource], resource: Resource | None) -> None:
    if resource is None:
        return
    key = resource["resourceType"], resource["id"]
    held = found.get(key)
    if held is None or _updated(resource) >= _updated(held):
        found[key] = resource


def _updated(resource: Resource) -> str:
    return str(resource.get("meta", {}).get("lastUpdated", ""))
