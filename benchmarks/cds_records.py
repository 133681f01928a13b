"""What an EHR sends with a CDS call: real Synthea records, cut as the prefetch templates ask.

Each call is about another patient, so that none is answered cheaply because its card was shown
before: the records are those of a few, and their ids are new every time.
"""

import gzip
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from fhir_mappings.consent import used_now
from fhir_mappings.eligibility import why_not
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.reading import read_bundle
from fhir_mappings.records.files import export_files, pieces
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline
from service.cds_hooks.services import PREFETCH

PATIENTS = 12
"""How many patients the records are taken of, in turns."""

Resource = dict[str, Any]

_DATES = ("effectiveDateTime", "authoredOn", "performedDateTime", "onsetDateTime")


class Chart(NamedTuple):
    """A patient's records as prefetched, with the stay that is about to end."""

    patient: str
    encounter: str
    prefetch: bytes

    def body(self) -> bytes:
        """A discharge call for somebody new, whose records are these."""
        somebody = uuid.uuid4().hex
        context = {
            "userId": "Practitioner/example-practitioner",
            "patientId": somebody,
            "encounterId": self.encounter,
        }
        head = msgspec.json.encode(
            {
                "hook": "encounter-discharge",
                "hookInstance": str(uuid.uuid4()),
                "context": context,
            }
        )
        records = self.prefetch.replace(self.patient.encode(), somebody.encode())
        return head[:-1] + b',"prefetch":' + records + b"}"


def charts(folder: Path) -> tuple[list[Chart], SiteProfile]:
    """Charts of patients with a stay that can be scored, and the profile to read them with.

    Args:
        folder: where a simulated hospital lies in ``records``, for when the generated records
            beside the project are absent.
    """
    beside = Path(__file__).parents[2] / "shared" / "data" / "synthea"
    real = beside.is_dir()
    profile = load_profile("synthea" if real else "default")
    found = []
    for resources in _synthea(beside) if real else _simulated(folder / "records"):
        chart = _chart(resources, profile)
        if chart is not None:
            found.append(chart)
        if len(found) == PATIENTS:
            break
    if not found:
        raise RuntimeError("no patient with a stay to score")
    return found, profile


def _chart(resources: list[Resource], profile: SiteProfile) -> Chart | None:
    """The chart of a patient as it is prefetched; None where it holds no stay to score."""
    patient = next(one["id"] for one in resources if one["resourceType"] == "Patient")
    asked = {key: _answered(template, resources) for key, template in PREFETCH.items()}
    sent = [one for answer in asked.values() for one in answer]
    entries = [{"resource": one} for one in sent]
    timeline = timeline_of(
        msgspec.json.encode({"resourceType": "Bundle", "entry": entries}), profile
    )
    stay = _to_score(timeline, profile)
    if stay is None:
        return None
    prefetch = {
        key: answer[0] if key == "patient" else _searchset(answer) for key, answer in asked.items()
    }
    return Chart(patient, stay.name, msgspec.json.encode(prefetch))


def timeline_of(bundle: bytes, profile: SiteProfile) -> Timeline:
    """A Bundle, read and put in order."""
    records = read_bundle(bundle, profile)
    return Timeline(records.subject, records.events, site_concepts(profile), profile)


def _to_score(timeline: Timeline, profile: SiteProfile) -> Stay | None:
    for stay in reversed(timeline.stays):
        if stay.end is None:
            continue
        if why_not(View(timeline, stay, stay.end), "scoring", used_now(profile)) is None:
            return stay
    return None


def _answered(template: str, resources: list[Resource]) -> list[Resource]:
    """What a server gives for a prefetch template: by type and category, newest first, counted."""
    kind, _, query = template.partition("?")
    if not query:
        return [one for one in resources if one["resourceType"] == kind.partition("/")[0]]
    asked = dict(parse_qsl(query))
    of_kind = [
        one
        for one in resources
        if one["resourceType"] == kind
        and ("category" not in asked or asked["category"] in _categories(one))
    ]
    if asked.get("_sort") == "-date":
        of_kind.sort(key=_date, reverse=True)
    return of_kind[: int(asked.get("_count", len(of_kind)))]


def _categories(resource: Resource) -> list[str]:
    return [
        coding["code"] for one in resource.get("category", []) for coding in one.get("coding", [])
    ]


def _date(resource: Resource) -> str:
    found = next((resource[name] for name in _DATES if name in resource), "")
    period = resource.get("period") or resource.get("performedPeriod") or {}
    return str(found or period.get("start", ""))


def _searchset(resources: list[Resource]) -> Resource:
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _synthea(folder: Path) -> Iterator[list[Resource]]:
    """Patient by patient, with references as a server has them that took the transaction in."""
    for file in sorted(folder.glob("*.json.gz")):
        bundle = json.loads(gzip.decompress(file.read_bytes()))
        stored = {
            entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in bundle["entry"]
        }
        yield [_referring(entry["resource"], stored.get) for entry in bundle["entry"]]


def _referring(value: Any, stored: Callable[[str, str], str]) -> Any:
    if isinstance(value, dict):
        return {
            name: stored(one, one) if name == "reference" else _referring(one, stored)
            for name, one in value.items()
        }
    return [_referring(one, stored) for one in value] if isinstance(value, list) else value


def _simulated(folder: Path) -> Iterator[list[Resource]]:
    """The simulated hospital's patients, those with most records first."""
    by_patient: dict[str, list[Resource]] = {}
    for file in export_files(folder):
        for piece in pieces(file):
            resource = json.loads(piece.raw)
            owner = resource.get("subject", resource.get("patient", {})).get("reference", "")
            if resource["resourceType"] == "Patient":
                owner = f"Patient/{resource['id']}"
            by_patient.setdefault(owner, []).append(resource)
    by_patient.pop("", None)
    yield from sorted(by_patient.values(), key=len, reverse=True)
