"""Records of diagnosis and treatment: Condition, Procedure and the medication resources."""

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import HOUR, MINUTE, Clock
from training.simulated_hospital.coding import (
    ACTIVE,
    CONFIRMED,
    DISCHARGE_ORDER,
    ENCOUNTER_DIAGNOSIS,
    ICD10CM,
    INPATIENT_ORDER,
    PROBLEM_LIST_ITEM,
    REFUTED,
    RXNORM,
    SNOMED,
    Json,
    concept,
    reference,
)
from training.simulated_hospital.parameters import Hospital
from training.simulated_hospital.stays import Stay, Visit

_SNOMED_BESIDE = 0.15
_BY_REFERENCE = 0.25
_CONTAINED = 0.05
_ADMINISTERED = 0.15
_VISIT_REASONS = (
    ("R07.9", "Chest pain, unspecified"),
    ("R10.9", "Unspecified abdominal pain"),
    ("M54.50", "Low back pain, unspecified"),
    ("R51.9", "Headache, unspecified"),
    ("Z00.00", "General adult medical examination without abnormal findings"),
)


def problem_list(stay: Stay, clock: Clock, chance: Chance) -> list[Json]:
    """Return the problem list as taken at a person's first stay; onset as a mere month."""
    person = stay.person
    records = []
    for chronic, code in person.chronic:
        if chronic.name not in person.problem_list:
            continue
        onset = clock.day(stay.arrival).year - 1 - int(chance.between(0.0, 12.0))
        record = _condition(f"{person.id}-p-{chronic.name.replace('_', '-')}", person.id, code)
        record |= {
            "category": PROBLEM_LIST_ITEM,
            "onsetDateTime": f"{onset}-{1 + int(chance.between(0, 12)):02d}",
            "recordedDate": clock.local(stay.arrival + HOUR),
        }
        if chance.below(_SNOMED_BESIDE):
            _add_snomed(record, chronic.snomed)
        records.append(record)
    return records


def stay_conditions(stay: Stay, hospital: Hospital, clock: Clock, chance: Chance) -> list[Json]:
    """Return the diagnoses coded for a stay, the principal one first, refuted ones last.

    They are coded in the last hours before discharge, by then known; for a stay in progress only
    the reason for admission is.
    """
    person = stay.person
    encounter = stay.segments[-1][0]
    coded: list[tuple[tuple[str, str], tuple[str, str] | None]] = [(stay.reason.code, None)]
    recorded = stay.arrival + 2 * HOUR
    if stay.in_progress:
        encounter = stay.segments[0][0]
        recorded = min(recorded, clock.end - MINUTE)
    else:
        recorded = stay.end - int(chance.between(5.0, 90.0) * MINUTE)
        coded += [(code, snomed) for _, code, snomed in stay.coded if code != stay.reason.code]
        if stay.reason.kind == "maternity":
            coded.append((("Z37.0", "Single live birth"), None))
    records = []
    for number, (code, snomed) in enumerate(coded, start=1):
        record = _condition(f"{stay.id}-d{number}", person.id, code)
        record |= {
            "category": ENCOUNTER_DIAGNOSIS,
            "encounter": reference("Encounter", encounter),
            "recordedDate": clock.local(recorded),
        }
        if snomed is not None and chance.below(_SNOMED_BESIDE):
            _add_snomed(record, snomed)
        records.append(record)
    if not stay.in_progress and chance.below(hospital.untidiness.refuted_condition):
        refuted = _condition(f"{stay.id}-d99", person.id, ("I50.9", "Heart failure, unspecified"))
        del refuted["clinicalStatus"]
        refuted |= {
            "verificationStatus": REFUTED,
            "category": ENCOUNTER_DIAGNOSIS,
            "encounter": reference("Encounter", encounter),
            "recordedDate": clock.local(recorded),
        }
        records.append(refuted)
    return records


def visit_condition(visit: Visit, person: str, clock: Clock, chance: Chance) -> Json:
    """Return the reason for a visit outside any stay."""
    reasons = _VISIT_REASONS[-1:] if visit.kind == "outpatient" else _VISIT_REASONS[:-1]
    return _condition(f"{visit.id}-d1", person, chance.pick(reasons)) | {
        "category": ENCOUNTER_DIAGNOSIS,
        "encounter": reference("Encounter", visit.id),
        "recordedDate": clock.local(visit.end - 5 * MINUTE),
    }


def procedure_records(stay: Stay, hospital: Hospital, clock: Clock, chance: Chance) -> list[Json]:
    """Return the procedures of a stay."""
    records = []
    name, start, end = stay.segments[0]
    until = min(end, clock.end)
    for number, done in enumerate(stay.procedures, start=1):
        procedure = hospital.procedures[done]
        moment = start + int(chance.between(0.05, 0.5) * (until - start))
        records.append(
            {
                "resourceType": "Procedure",
                "id": f"{stay.id}-x{number}",
                "status": "completed",
                "code": concept(procedure.system, procedure.code, procedure.wording),
                "subject": reference("Patient", stay.person.id),
                "encounter": reference("Encounter", name),
                "performedDateTime": clock.local(moment),
            }
        )
    return records


def formulary(hospital: Hospital) -> list[Json]:
    """Return a Medication for each medicine: what orders by reference refer to."""
    return [
        {
            "resourceType": "Medication",
            "id": f"sim-medication-{rxnorm}",
            "status": "active",
            "code": concept(RXNORM, rxnorm, name.replace("_", " ")),
        }
        for name, rxnorm in hospital.medicines.items()
    ]


def medicine_records(
    stay: Stay, hospital: Hospital, clock: Clock, chance: Chance
) -> tuple[list[Json], list[Json]]:
    """Return the orders and discharge prescriptions of a stay, and a few administrations."""
    orders: list[Json] = []
    given: list[Json] = []
    until = min(stay.end, clock.end)
    name = stay.segments[0][0]
    for number, medicine in enumerate(stay.inpatient_medicines, start=1):
        ordered = stay.start + int(chance.between(0.3, 6.0) * HOUR)
        if ordered >= until:
            continue
        status = "active" if stay.in_progress or chance.below(0.3) else "completed"
        orders.append(
            _order(f"{stay.id}-m{number}", stay, name, medicine, hospital, chance)
            | {"status": status, "category": INPATIENT_ORDER, "authoredOn": clock.local(ordered)}
        )
        if chance.below(_ADMINISTERED) and ordered + 2 * HOUR < until:
            given.append(
                {
                    "resourceType": "MedicationAdministration",
                    "id": f"{stay.id}-g{number}",
                    "status": "completed",
                    "medicationCodeableConcept": _medicine(medicine, hospital),
                    "subject": reference("Patient", stay.person.id),
                    "context": reference("Encounter", name),
                    "effectiveDateTime": clock.local(ordered + HOUR),
                    "request": reference("MedicationRequest", f"{stay.id}-m{number}"),
                }
            )
    if stay.in_progress:
        return orders, given
    name = stay.segments[-1][0]
    prescribed = clock.local(stay.end - int(chance.between(15.0, 120.0) * MINUTE))
    for number, medicine in enumerate(stay.take_home, start=1):
        orders.append(
            _order(f"{stay.id}-r{number}", stay, name, medicine, hospital, chance)
            | {"status": "active", "category": DISCHARGE_ORDER, "authoredOn": prescribed}
            | {"dispenseRequest": {"expectedSupplyDuration": _supply(chance)}}
        )
    return orders, given


def _condition(name: str, person: str, code: tuple[str, str]) -> Json:
    return {
        "resourceType": "Condition",
        "id": name,
        "clinicalStatus": ACTIVE,
        "verificationStatus": CONFIRMED,
        "code": concept(ICD10CM, *code),
        "subject": reference("Patient", person),
    }


def _add_snomed(record: Json, snomed: tuple[str, str]) -> None:
    code, display = snomed
    record["code"]["coding"].append({"system": SNOMED, "code": code, "display": display})


def _medicine(medicine: str, hospital: Hospital) -> Json:
    return concept(RXNORM, hospital.medicines[medicine], medicine.replace("_", " "))


def _order(
    name: str, stay: Stay, encounter: str, medicine: str, hospital: Hospital, chance: Chance
) -> Json:
    order: Json = {"resourceType": "MedicationRequest", "id": name, "intent": "order"}
    toss = chance.uniform()
    if toss < _BY_REFERENCE:
        rxnorm = hospital.medicines[medicine]
        order["medicationReference"] = reference("Medication", f"sim-medication-{rxnorm}")
    elif toss < _BY_REFERENCE + _CONTAINED:
        order["contained"] = [
            {"resourceType": "Medication", "id": "m", "code": _medicine(medicine, hospital)}
        ]
        order["medicationReference"] = {"reference": "#m"}
    else:
        order["medicationCodeableConcept"] = _medicine(medicine, hospital)
    order["subject"] = reference("Patient", stay.person.id)
    order["encounter"] = reference("Encounter", encounter)
    return order


def _supply(chance: Chance) -> Json:
    days = chance.pick((7, 14, 30, 30, 90))
    return {"value": days, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}
