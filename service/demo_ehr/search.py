"""FHIR search, as far as clients of an EHR use it for one patient: by data, a function a parameter.

Source: FHIR R4 (4.0.1), "Search". A parameter that is not known here is refused and not ignored: an
ignored one gives too much, and in a demo nobody would learn of it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlencode

from service.demo_ehr.errors import FHIRError
from service.demo_ehr.records import Resource
from service.demo_ehr.store import WRITABLE, Store

COUNT: Final = 50
"""Resources on a page, where the client names no number."""
LARGEST_COUNT: Final = 200
OFFSET: Final = "_offset"
"""Our own parameter, in links to further pages."""

DATES: Final[dict[str, tuple[str, ...]]] = {
    "Condition": ("recordedDate", "onsetDateTime"),
    "Encounter": ("period",),
    "Flag": ("period",),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod"),
    "MedicationRequest": ("authoredOn",),
    "Observation": ("effectiveDateTime", "effectivePeriod"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "RiskAssessment": ("occurrenceDateTime", "occurrencePeriod"),
    "Task": ("authoredOn",),
}
"""What ``date`` and ``_sort`` go by: the first that is there, and of a period its start."""

TYPES: Final = (
    *DATES,
    "Appointment",
    "CarePlan",
    "Communication",
    "Consent",
    "Coverage",
    "Medication",
    "Organization",
    "Patient",
    "Provenance",
    "ServiceRequest",
)
"""What can be read and searched."""

_PREFIXES: Final[dict[str, Callable[[str, str], bool]]] = {
    # Compared as far as the client's value goes: 2024-05 holds the whole of May.
    "eq": lambda held, asked: held[: len(asked)] == asked,
    "ge": lambda held, asked: held[: len(asked)] >= asked,
    "gt": lambda held, asked: held[: len(asked)] > asked,
    "le": lambda held, asked: held[: len(asked)] <= asked,
    "lt": lambda held, asked: held[: len(asked)] < asked,
}


def search(store: Store, base: str, kind: str, asked: list[tuple[str, str]]) -> Resource:
    """One page of a search, as a Bundle.

    Args:
        store: what is searched.
        base: the server's base URL, for links.
        kind: the resource type.
        asked: the parameters, in order.

    Raises:
        FHIRError: if a parameter is not known here or has no proper value.
    """
    if kind not in TYPES:
        raise FHIRError(404, "not-supported", "There are no resources of this type here.")
    found = matching(store, kind, asked)
    given = dict(asked)
    count = min(_number(given.get("_count", str(COUNT))), LARGEST_COUNT)
    offset = _number(given.get(OFFSET, "0"))
    kept = [(name, value) for name, value in asked if name != OFFSET]
    link = [{"relation": "self", "url": f"{base}/{kind}?{urlencode(asked)}"}]
    if count and offset + count < len(found):
        following = urlencode([*kept, (OFFSET, str(offset + count))])
        link.append({"relation": "next", "url": f"{base}/{kind}?{following}"})
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": link,
    }
    page = [] if given.get("_summary") == "count" else found[offset : offset + count]
    if page:
        bundle["entry"] = [
            {
                "fullUrl": f"{base}/{kind}/{one['id']}",
                "resource": one,
                "search": {"mode": "match"},
            }
            for one in page
        ]
    return bundle


def matching(store: Store, kind: str, asked: Iterable[tuple[str, str]]) -> list[Resource]:
    """All resources that a search finds, in its order.

    Raises:
        FHIRError: if a parameter is not known here or has no proper value.
    """
    asked = list(asked)
    patient = next((value for name, value in asked if name in ("patient", "subject")), None)
    if patient is None and kind == "Patient":
        patient = next((value for name, value in asked if name == "_id"), None)
    if patient is not None:
        found = store.of_patient(kind, patient.removeprefix("Patient/"))
    elif kind in _WITHOUT_PATIENT:
        found = list(store.everything(kind))
    else:
        raise FHIRError(400, "too-costly", "Name a patient: all records are not searched at once.")
    for name, value in asked:
        if name in _FILTERS:
            found = [one for one in found if _FILTERS[name](one, value)]
        elif name not in _CONTROLS:
            raise FHIRError(400, "not-supported", f"Not a search parameter here: {name[:40]}")
    sort = next((value for name, value in asked if name == "_sort"), None)
    if sort is not None:
        if sort not in ("date", "-date"):
            raise FHIRError(400, "not-supported", "_sort: date or -date alone")
        found.sort(key=date_of, reverse=sort == "-date")
    return found


def date_of(resource: Resource) -> str:
    """The moment that a resource is about, as it is written; empty where it has none."""
    for name in DATES.get(resource["resourceType"], ()):
        value = resource.get(name)
        if isinstance(value, dict):
            value = value.get("start")
        if isinstance(value, str):
            return value
    return ""


def _by_date(resource: Resource, asked: str) -> bool:
    prefix, value = (asked[:2], asked[2:]) if asked[:2].isalpha() else ("eq", asked)
    if prefix not in _PREFIXES or not value[:4].isdecimal():
        raise FHIRError(400, "invalid", "date: a prefix eq, ge, gt, le or lt, and a date")
    held = date_of(resource)
    return bool(held) and _PREFIXES[prefix](held, value)


def _by_category(resource: Resource, asked: str) -> bool:
    return any(_token(coding, asked) for coding in _codings(resource.get("category")))


def _by_code(resource: Resource, asked: str) -> bool:
    return any(_token(coding, asked) for coding in _codings([resource.get("code")]))


def _by_identifier(resource: Resource, asked: str) -> bool:
    held = resource.get("identifier") or []
    each = held if isinstance(held, list) else [held]
    return any(_token({**one, "code": one.get("value")}, asked) for one in each)


def _by_status(resource: Resource, asked: str) -> bool:
    return resource.get("status") in asked.split(",")


def _by_encounter(resource: Resource, asked: str) -> bool:
    reference = (resource.get("encounter") or {}).get("reference", "")
    return str(reference).rpartition("/")[2] == asked.rpartition("/")[2]


def _by_tag(resource: Resource, asked: str) -> bool:
    return any(_token(tag, asked) for tag in resource.get("meta", {}).get("tag", ()))


def _by_target(resource: Resource, asked: str) -> bool:
    return any(one.get("reference", "").endswith(asked) for one in resource.get("target", ()))


_FILTERS: Final[dict[str, Callable[[Resource, str], bool]]] = {
    "_tag": _by_tag,
    "_id": lambda resource, asked: resource["id"] in asked.split(","),
    "category": _by_category,
    "code": _by_code,
    "date": _by_date,
    "encounter": _by_encounter,
    "identifier": _by_identifier,
    "status": _by_status,
    "target": _by_target,
}
_CONTROLS: Final = {"patient", "subject", "_count", "_sort", "_summary", OFFSET}

_WITHOUT_PATIENT: Final = {"Medication", "Organization", *WRITABLE} - {"Encounter"}
"""Of these there are few, so that all of them may be gone through."""

SEARCHED_BY: Final = (*_FILTERS, "patient")
"""The parameters, for the CapabilityStatement."""


def _token(coding: Any, asked: str) -> bool:
    """Whether a coding is what a token (``code``, ``system|code``, ``|code``) means."""
    system, stroke, code = asked.rpartition("|")
    same = coding.get("code") == code
    return same and (not stroke or coding.get("system", "") == system)


def _codings(concepts: Any) -> list[dict[str, Any]]:
    return [one for concept in concepts or [] for one in (concept or {}).get("coding", [])]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise FHIRError(400, "invalid", "a count that is no number")
    return int(text)
