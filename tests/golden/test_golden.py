"""Golden pairs: a fictitious record, and the events that it must give.

Each pair is two files of one name. ``<name>.fhir.json`` is a resource or a Bundle;
``<name>.events.json`` has the site profile, the settled events (what is null is left out, times are
UTC), and what was questionable or rejected. A change of either file is a change of what a record
means, and is reviewed as such.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from records import encode

from fhir_mappings.events import Event
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import read_bundle
from fhir_mappings.records.instants import as_datetime

PAIRS = sorted(
    file.name.removesuffix(".fhir.json") for file in Path(__file__).parent.glob("*.fhir.json")
)
_MOMENTS = frozenset({"time", "end", "known_at"})


def meaning(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What must come of a pair's record, and what does."""
    folder = Path(__file__).parent
    wanted = json.loads((folder / f"{name}.events.json").read_text(encoding="utf-8"))
    record = json.loads((folder / f"{name}.fhir.json").read_text(encoding="utf-8"))
    if record["resourceType"] != "Bundle":
        record = {"resourceType": "Bundle", "entry": [{"resource": record}]}
    read = read_bundle(encode(record), load_profile(wanted["profile"]))
    found = {
        "profile": wanted["profile"],
        "events": [plain(event) for event in sorted(read.events, key=_place)],
        "questionable": {": ".join(key): n for key, n in read.questionable.items()},
        "rejected": [f"{rejected.element}: {rejected.reason}" for rejected in read.rejected],
    }
    return wanted, found


def plain(event: Event) -> dict[str, Any]:
    """An event as the files have it."""
    return {
        key: as_datetime(value).isoformat().replace("+00:00", "Z") if key in _MOMENTS else value
        for key, value in event._asdict().items()
        if value is not None and (key, value) not in (("updated", 0), ("dated_by", "record"))
    }


def _place(event: Event) -> tuple[str, str, str, str]:
    return event.source, event.code, event.text or "", repr(event.value)


@pytest.mark.parametrize("name", PAIRS)
def test_record_means_these_events(name):
    wanted, found = meaning(name)
    assert found == wanted


def test_every_expectation_has_its_record():
    expected = {
        f.name.removesuffix(".events.json") for f in Path(__file__).parent.glob("*.events.json")
    }
    assert expected == set(PAIRS)
    assert len(PAIRS) >= 25
