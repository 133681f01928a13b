"""Records of people and of their encounters: Patient and Encounter."""

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import DAY, HOUR, MINUTE, Clock
from training.simulated_hospital.coding import (
    ADMIT_SOURCES,
    CLASSES,
    DISPOSITIONS,
    HL7,
    INTENSIVE_CARE,
    PRIORITIES,
    RACE_SYSTEM,
    ROLES,
    TYPES,
    US_CORE,
    Json,
    reference,
)
from training.simulated_hospital.population import Person
from training.simulated_hospital.stays import Stay, Visit


def patient_record(person: Person, updated: int, clock: Clock) -> Json:
    """Return the Patient, with the US Core extensions for race, ethnicity and sex at birth."""
    race_code, race = person.race
    ethnicity = ("2135-2", "Hispanic or Latino") if person.hispanic else ("2186-5", "Not Hispanic")
    language_code, language = person.language
    record: Json = {
        "resourceType": "Patient",
        "id": person.id,
        "meta": {"versionId": "1", "lastUpdated": clock.utc(updated)},
        "extension": [
            _us_core("race", race_code, race),
            _us_core("ethnicity", *ethnicity),
            {"url": f"{US_CORE}birthsex", "valueCode": "F" if person.sex == "female" else "M"},
        ],
        "identifier": [
            {
                "type": {"coding": [{"system": f"{HL7}v2-0203", "code": "MR"}]},
                "system": "https://simulated-hospital.example/record-number",
                "value": person.id.upper(),
            }
        ],
        "active": True,
        "name": [{"use": "official", "family": person.family, "given": [person.given]}],
        "gender": person.sex,
        "birthDate": person.birth.isoformat(),
        "address": [
            {
                "use": "home",
                "city": person.city,
                "state": "MA",
                "postalCode": person.postal_code,
                "country": "US",
            }
        ],
        "communication": [
            {
                "language": {
                    "coding": [
                        {"system": "urn:ietf:bcp:47", "code": language_code, "display": language}
                    ]
                },
                "preferred": True,
            }
        ],
    }
    if person.deceased is not None:
        record["deceasedDateTime"] = clock.local(person.deceased)
    return record


def _us_core(name: str, code: str, display: str) -> Json:
    return {
        "url": f"{US_CORE}{name}",
        "extension": [
            {
                "url": "ombCategory",
                "valueCoding": {"system": RACE_SYSTEM, "code": code, "display": display},
            },
            {"url": "text", "valueString": display},
        ],
    }


def stay_records(stay: Stay, conditions: list[str], clock: Clock, chance: Chance) -> list[Json]:
    """Return the Encounters of a stay: the emergency visit before it and each of its parts.

    ``conditions``: ids of the Conditions coded for the stay, the principal one first.
    """
    records: list[Json] = []
    first = stay.segments[0][0]
    person = stay.person.id
    if stay.emergency is not None:
        emergency = _encounter(
            f"{first}-ed", "EMER", person, stay.emergency, stay.start, stay.site, clock
        )
        emergency["priority"] = PRIORITIES["EM"]
        emergency["partOf"] = reference("Encounter", first)
        records.append(emergency)
    nubc = chance.below(0.3)
    for index, (name, start, end) in enumerate(stay.segments):
        last = index == len(stay.segments) - 1
        finished = end < clock.end
        record = _encounter(name, "IMP", person, start, end if finished else None, stay.site, clock)
        record["priority"] = _priority(stay)
        record["serviceType"] = {"text": stay.reason.service}
        record["reasonCode"] = [{"text": stay.reason.name.replace("_", " ")}]
        record["hospitalization"] = hospitalization = {
            "admitSource": ADMIT_SOURCES["transfer" if index else stay.admission_source]
        }
        if finished and not last:
            hospitalization["dischargeDisposition"] = DISPOSITIONS["transfer"][nubc]
        elif stay.disposition is not None:
            hospitalization["dischargeDisposition"] = DISPOSITIONS[stay.disposition][nubc]
        if stay.person.mother is not None:
            record["partOf"] = reference("Encounter", stay.person.mother)
        if last and conditions:
            record["diagnosis"] = _diagnoses(conditions)
        if stay.intensive_care and index == 0:
            record["location"] = [_intensive_care(start, end, clock)]
        records.append(record)
    return records


def visit_record(visit: Visit, person: Person, clock: Clock) -> Json:
    """Return the Encounter of a visit outside any stay."""
    code = {"emergency": "EMER", "observation": "OBSENC", "outpatient": "AMB"}[visit.kind]
    record = _encounter(visit.id, code, person.id, visit.start, visit.end, visit.site, clock)
    if visit.kind == "outpatient":
        record["priority"] = PRIORITIES["R"]
    else:
        record["priority"] = PRIORITIES["EM" if visit.kind == "emergency" else "UR"]
        record["hospitalization"] = {"dischargeDisposition": DISPOSITIONS["home"][0]}
    return record


def cancelled_record(stay: Stay, clock: Clock, chance: Chance) -> Json:
    """Return an Encounter that was booked after a stay and never took place."""
    start = stay.end + int(chance.between(2.0, 28.0) * DAY)
    name = f"{stay.id}-cancelled"
    record = _encounter(name, "IMP", stay.person.id, start, start + 3 * DAY, stay.site, clock)
    return record | {"status": "cancelled", "priority": PRIORITIES["UR"]}


def mistaken_record(stay: Stay, clock: Clock, chance: Chance) -> Json:
    """Return an Encounter that was entered on the wrong chart and marked as an error."""
    start = stay.end + int(chance.between(1.0, 20.0) * DAY)
    name = f"{stay.id}-mistaken"
    record = _encounter(name, "IMP", stay.person.id, start, start + 2 * DAY, stay.site, clock)
    return record | {"status": "entered-in-error", "priority": PRIORITIES["EM"]}


def _encounter(
    name: str, code: str, person: str, start: int, end: int | None, site: str, clock: Clock
) -> Json:
    period = {"start": clock.local(start)}
    if end is not None and end < clock.end:
        period["end"] = clock.local(end)
    updated = start + HOUR if end is None else min(end + 20 * MINUTE, clock.end)
    return {
        "resourceType": "Encounter",
        "id": name,
        "meta": {"versionId": "1", "lastUpdated": clock.utc(updated)},
        "status": "finished" if "end" in period else "in-progress",
        "class": CLASSES[code],
        "type": TYPES[code],
        "subject": reference("Patient", person),
        "period": period,
        "serviceProvider": reference("Organization", site),
    }


def _priority(stay: Stay) -> Json:
    if stay.planned:
        return PRIORITIES["EL"]
    if stay.reason.kind in ("maternity", "newborn"):
        return PRIORITIES["R"]
    return PRIORITIES["EM" if stay.emergency is not None else "UR"]


def _diagnoses(conditions: list[str]) -> list[Json]:
    return [
        {
            "condition": reference("Condition", name),
            "use": ROLES["DD" if rank == 1 else "CM"],
            "rank": rank,
        }
        for rank, name in enumerate(conditions, start=1)
    ]


def _intensive_care(start: int, end: int, clock: Clock) -> Json:
    period = {"start": clock.local(start + 2 * HOUR)}
    if end < clock.end:
        period["end"] = clock.local(start + (end - start) // 2 + 2 * HOUR)
    return {"location": INTENSIVE_CARE, "status": "completed", "period": period}
