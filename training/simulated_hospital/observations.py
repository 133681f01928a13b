"""Records of what was measured: laboratory results, vital signs, smoking status."""

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import DAY, HOUR, MINUTE, Clock
from training.simulated_hospital.coding import (
    LABORATORY,
    LOINC,
    SNOMED,
    SOCIAL_HISTORY,
    VITAL_SIGNS,
    Json,
    concept,
    quantity,
    reference,
)
from training.simulated_hospital.parameters import Hospital
from training.simulated_hospital.population import Person
from training.simulated_hospital.stays import Stay, Visit
from training.simulated_hospital.untidiness import untidy_result

_PRESSURE_PANELS = (
    concept(LOINC, "85354-9", "Blood pressure panel with all children optional"),
    concept(LOINC, "55284-4", "Blood pressure systolic and diastolic"),
)
_SYSTOLIC = concept(LOINC, "8480-6", "Systolic blood pressure")
_DIASTOLIC = concept(LOINC, "8462-4", "Diastolic blood pressure")
_HEART_RATE = concept(LOINC, "8867-4", "Heart rate")
_RESPIRATORY_RATE = concept(LOINC, "9279-1", "Respiratory rate")
_TEMPERATURE = concept(LOINC, "8310-5", "Body temperature")
_SATURATIONS = (
    concept(LOINC, "2708-6", "Oxygen saturation in Arterial blood"),
    concept(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
)
_WEIGHT = concept(LOINC, "29463-7", "Body weight")
_SMOKING = concept(LOINC, "72166-2", "Tobacco smoking status")
_SMOKER = (
    (concept(SNOMED, "266919005", "Never smoked tobacco"), 0.5),
    (concept(SNOMED, "8517006", "Ex-smoker"), 0.35),
    (concept(SNOMED, "449868002", "Smokes tobacco daily"), 0.15),
)


class LaboratoryCodes:
    """The concept of each laboratory test under each of its LOINC codes, built once."""

    def __init__(self, hospital: Hospital) -> None:
        self._codes = {
            laboratory.name: (
                [concept(LOINC, code, display) for code, display, _ in laboratory.codes],
                [share for *_, share in laboratory.codes],
            )
            for laboratory in hospital.laboratories
        }

    def pick(self, laboratory: str, chance: Chance) -> Json:
        """Draw one of the codes that a test is reported under."""
        concepts, shares = self._codes[laboratory]
        return concepts[0] if len(concepts) == 1 else chance.weighted(concepts, shares)


def stay_observations(
    stay: Stay, hospital: Hospital, codes: LaboratoryCodes, clock: Clock, chance: Chance
) -> list[Json]:
    """Return the laboratory results and vital signs of a stay."""
    records: list[Json] = []
    subject = reference("Patient", stay.person.id)
    for number, result in enumerate(stay.results, start=1):
        record = {
            "resourceType": "Observation",
            "id": f"{stay.id}-l{number}",
            "status": "final",
            "category": LABORATORY,
            "code": codes.pick(result.laboratory.name, chance),
            "subject": subject,
            "encounter": reference("Encounter", _encounter_at(stay, result.drawn)),
            "effectiveDateTime": clock.local(result.drawn),
            "issued": clock.local(result.issued),
            "valueQuantity": quantity(result.value, result.laboratory.unit),
        }
        untidy_result(record, result, hospital.untidiness, chance)
        records.append(record)
    for number, moment in enumerate(_rounds(stay, clock), start=1):
        if moment < min(stay.end, clock.end):
            name = f"{stay.id}-n{number}"
            encounter = _encounter_at(stay, moment)
            fever = 0.9 if stay.reason.shifts.get("leukocytes", 0.0) > 0.25 and number == 1 else 0
            records += _vital_signs(name, stay.person, encounter, moment, fever, clock, chance)
    return records


def visit_observations(visit: Visit, person: Person, clock: Clock, chance: Chance) -> list[Json]:
    """Return the vital signs of a visit outside any stay."""
    moment = visit.start + 8 * MINUTE
    if visit.kind != "outpatient":
        return _vital_signs(f"{visit.id}-n1", person, visit.id, moment, 0.2, clock, chance)
    return [
        _pressure(f"{visit.id}-bp", person, visit.id, moment, clock, chance),
        _measured(f"{visit.id}-w", person, visit.id, moment, _WEIGHT, clock)
        | {"valueQuantity": quantity(round(person.weight_kg + chance.normal(), 1), "kg")},
    ]


def smoking_record(stay: Stay, clock: Clock, chance: Chance) -> Json:
    """Return the smoking status asked for on a person's first stay."""
    record = _measured(
        f"{stay.id}-smoking", stay.person, stay.segments[0][0], stay.start, _SMOKING, clock
    )
    return record | {
        "category": SOCIAL_HISTORY,
        "valueCodeableConcept": chance.weighted(
            [status for status, _ in _SMOKER], [share for _, share in _SMOKER]
        ),
    }


def _encounter_at(stay: Stay, moment: int) -> str:
    if moment < stay.start:
        return f"{stay.segments[0][0]}-ed"
    name = stay.segments[0][0]
    for part, start, _ in stay.segments:
        if moment >= start:
            name = part
    return name


def _rounds(stay: Stay, clock: Clock) -> list[int]:
    moments = [stay.arrival + 5 * MINUTE]
    nights = (stay.end - stay.start) // DAY
    if nights > 4:
        moments.append(clock.midnight(stay.start, nights // 2) + 8 * HOUR)
    discharge_morning = clock.midnight(stay.end) + 8 * HOUR
    if discharge_morning > moments[-1] + 4 * HOUR:
        moments.append(discharge_morning)
    return moments


def _measured(
    name: str, person: Person, encounter: str, moment: int, code: Json, clock: Clock
) -> Json:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "category": VITAL_SIGNS,
        "code": code,
        "subject": reference("Patient", person.id),
        "encounter": reference("Encounter", encounter),
        "effectiveDateTime": clock.local(moment),
    }


def _pressure(
    name: str, person: Person, encounter: str, moment: int, clock: Clock, chance: Chance
) -> Json:
    systolic = round((98.0 if person.kind in ("child", "newborn") else 128) + 16 * chance.normal())
    diastolic = round(systolic * 0.58 + 5.0 * chance.normal())
    panel = _PRESSURE_PANELS[chance.below(0.2)]
    return _measured(name, person, encounter, moment, panel, clock) | {
        "component": [
            {"code": _SYSTOLIC, "valueQuantity": quantity(systolic, "mm[Hg]")},
            {"code": _DIASTOLIC, "valueQuantity": quantity(diastolic, "mm[Hg]")},
        ]
    }


def _vital_signs(
    name: str,
    person: Person,
    encounter: str,
    moment: int,
    fever: float,
    clock: Clock,
    chance: Chance,
) -> list[Json]:
    celsius = 36.8 + fever + 0.35 * chance.normal()
    temperature = quantity(round(celsius, 1), "Cel")
    if chance.below(0.25):
        temperature = quantity(round(celsius * 1.8 + 32.0, 1), "[degF]")
    child = person.kind in ("child", "newborn")
    saturation = min(round(96.5 + 1.5 * chance.normal()), 100)
    rate = round((112 if child else 82) + 12 * chance.normal() + 10 * fever)
    breaths = round((24 if child else 17) + 2 * chance.normal())
    values = (
        ("hr", _HEART_RATE, quantity(rate, "/min")),
        ("rr", _RESPIRATORY_RATE, quantity(breaths, "/min")),
        ("t", _TEMPERATURE, temperature),
        ("ox", _SATURATIONS[chance.below(0.5)], quantity(saturation, "%")),
    )
    return [
        _pressure(f"{name}-bp", person, encounter, moment, clock, chance),
        *(
            _measured(f"{name}-{part}", person, encounter, moment, code, clock)
            | {"valueQuantity": value}
            for part, code, value in values
        ),
    ]
