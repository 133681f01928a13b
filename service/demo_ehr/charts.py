"""From FHIR records to what the EHR's pages show: a ward's list, a patient's chart."""

from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from service.demo_ehr.errors import FHIRError, PageError
from service.demo_ehr.records import RecentStay, Resource
from service.demo_ehr.search import date_of
from service.demo_ehr.store import Store

LISTED_STAYS: Final = 12
LISTED_RESULTS: Final = 16
RECENT_DAYS: Final = 30
"""How long ago the stays of the list of discharges ended."""

_KINDS: Final = {
    "IMP": "Inpatient",
    "EMER": "Emergency",
    "OBSENC": "Observation",
    "AMB": "Outpatient",
}


class Who(NamedTuple):
    """A patient, as the head of a chart names them."""

    id: str
    name: str
    sex: str
    birth_date: str
    age: int | None
    record_number: str


class Stay(NamedTuple):
    """An Encounter, as a line."""

    id: str
    kind: str
    unit: str
    service: str
    reason: str
    start: str
    end: str | None
    status: str
    to: str
    """Where the patient went."""


class Line(NamedTuple):
    """A line of a ward's list."""

    who: Who
    stay: Stay


class Result(NamedTuple):
    """The latest result of one laboratory test."""

    name: str
    value: str
    date: str
    id: str


def who_is(store: Store, patient: str) -> Who:
    """The head of a chart.

    Raises:
        PageError: if there is no such patient.
    """
    try:
        found = store.read("Patient", patient)
    except FHIRError:
        raise PageError(404, "There is no such patient.") from None
    name = (found.get("name") or [{}])[0]
    born = str(found.get("birthDate", ""))
    numbers = [str(one.get("value", "")) for one in found.get("identifier", ())]
    return Who(
        id=patient,
        name=" ".join([*name.get("given", ()), name.get("family", "")]).strip() or patient,
        sex=str(found.get("gender", "not recorded")),
        birth_date=born or "not recorded",
        age=_age(born),
        record_number=numbers[0] if numbers else patient,
    )


def stay_of(store: Store, encounter: str) -> Stay:
    """One Encounter as a line.

    Raises:
        PageError: if there is no such.
    """
    try:
        return _stay(store, store.read("Encounter", encounter))
    except FHIRError:
        raise PageError(404, "There is no such stay.") from None


def stays(store: Store, patient: str) -> list[Stay]:
    """The stays and visits of a patient that took place, the latest first."""
    found = [
        one
        for one in store.of_patient("Encounter", patient)
        if one.get("status") in ("in-progress", "finished")
    ]
    found.sort(key=date_of, reverse=True)
    return [_stay(store, one) for one in found]


def ward(store: Store, *, in_hospital: bool, unit: str) -> list[RecentStay]:
    """Who is in hospital, or was discharged within the last month.

    Args:
        store: the EHR's.
        in_hospital: the ones or the others.
        unit: id of an Organization, or empty for all.

    """
    ended = {
        one["id"]: one["period"]["end"]
        for one in store.written("Encounter")
        if "end" in one.get("period", {})
    }
    found = [
        one._replace(end=ended.get(one.encounter, one.end))
        for one in store.records.recent
        if unit in ("", one.unit)
    ]
    if in_hospital:
        return [one for one in found if one.end is None]
    left = [one for one in found if one.end is not None and days_since(one.end) < RECENT_DAYS]
    return sorted(left, key=lambda one: one.end or "", reverse=True)


def lines(store: Store, listed: list[RecentStay]) -> list[Line]:
    """The lines of a list."""
    return [Line(who_is(store, one.patient), stay_of(store, one.encounter)) for one in listed]


def units(store: Store) -> list[tuple[str, str]]:
    """The units of the hospital: id and name."""
    found = store.records.of_nobody("Organization")
    return sorted((one["id"], str(one.get("name", one["id"]))) for one in found)


def latest_results(store: Store, patient: str) -> list[Result]:
    """The latest result of each laboratory test, the most recent first."""
    found: dict[str, Resource] = {}
    for one in store.of_patient("Observation", patient):
        if one.get("status") not in ("final", "amended", "corrected") or not _is_laboratory(one):
            continue
        name = text_of(one.get("code"))
        if name not in found or date_of(found[name]) < date_of(one):
            found[name] = one
    recent = sorted(found.items(), key=lambda named: date_of(named[1]), reverse=True)
    return [
        Result(name, _value(one), date_of(one)[:10], one["id"])
        for name, one in recent[:LISTED_RESULTS]
    ]


def problems(store: Store, patient: str) -> list[str]:
    """The names of the conditions on record, each once."""
    found = [
        text_of(one.get("code"))
        for one in store.of_patient("Condition", patient)
        if _code(one.get("verificationStatus")) not in ("refuted", "entered-in-error")
    ]
    return sorted(set(filter(None, found)), key=str.lower)


def text_of(concept: Any) -> str:
    """A CodeableConcept in words."""
    concept = concept or {}
    displays = [one.get("display", "") for one in concept.get("coding", ())]
    codes = [one.get("code", "") for one in concept.get("coding", ())]
    return str(concept.get("text") or next(filter(None, [*displays, *codes]), ""))


def days_since(moment: str) -> float:
    """Days from a FHIR dateTime until now."""
    then = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return (datetime.now(UTC) - then).total_seconds() / 86_400


def _stay(store: Store, found: Resource) -> Stay:
    hospitalization = found.get("hospitalization", {})
    provider = found.get("serviceProvider", {})
    unit = str(provider.get("reference", "")).removeprefix("Organization/")
    period = found.get("period", {})
    kind = found.get("class", {}).get("code", "")
    return Stay(
        id=found["id"],
        kind=_KINDS.get(kind, kind),
        unit=dict(units(store)).get(unit, unit),
        service=text_of(found.get("serviceType")),
        reason=", ".join(filter(None, map(text_of, found.get("reasonCode", ())))),
        start=period.get("start", ""),
        end=period.get("end"),
        status=str(found.get("status", "")),
        to=text_of(hospitalization.get("dischargeDisposition")),
    )


def _age(born: str) -> int | None:
    try:
        birth = date.fromisoformat(born)
    except ValueError:
        return None
    today = datetime.now(UTC).date()
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def _is_laboratory(observation: Resource) -> bool:
    categories = observation.get("category", ())
    return any(_code(one) == "laboratory" for one in categories)


def _code(concept: Any) -> str:
    return next((str(one.get("code", "")) for one in (concept or {}).get("coding", ())), "")


def _value(observation: Resource) -> str:
    quantity = observation.get("valueQuantity")
    if isinstance(quantity, dict) and "value" in quantity:
        value = f"{quantity['value']:g}"
        return f"{quantity.get('comparator', '')}{value} {quantity.get('unit', '')}".strip()
    words = observation.get("valueString") or text_of(observation.get("valueCodeableConcept"))
    return str(words or "no value")
