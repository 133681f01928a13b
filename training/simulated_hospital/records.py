"""All the records of one life, by the file that they are exported to."""

from typing import Final

from training.simulated_hospital.care import (
    medicine_records,
    problem_list,
    procedure_records,
    stay_conditions,
    visit_condition,
)
from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import HOUR, Clock
from training.simulated_hospital.coding import Json
from training.simulated_hospital.course import Life
from training.simulated_hospital.observations import (
    LaboratoryCodes,
    smoking_record,
    stay_observations,
    visit_observations,
)
from training.simulated_hospital.parameters import Hospital
from training.simulated_hospital.people_and_encounters import (
    cancelled_record,
    mistaken_record,
    patient_record,
    stay_records,
    visit_record,
)
from training.simulated_hospital.stays import Stay
from training.simulated_hospital.untidiness import duplicates, errors_and_corrections

PATIENTS: Final = "Patient.ndjson"
ENCOUNTERS: Final = "Encounter.ndjson"
CONDITIONS: Final = "Condition.ndjson.gz"
PROCEDURES: Final = "Procedure.ndjson"
MEDICATIONS: Final = "Medication.ndjson"
ORDERS: Final = "MedicationRequest.ndjson.gz"
ADMINISTRATIONS: Final = "MedicationAdministration.ndjson"
RESULTS: Final = "Observation.000.ndjson"
MORE_RESULTS: Final = "chemistry-export-0f3a.ndjson.gz"
VITAL_SIGNS: Final = "nursing_7.ndjson"
COVERAGES: Final = "Coverage.ndjson"
ORGANIZATIONS: Final = "Organization.ndjson"
CORRECTIONS: Final = "Amendments.ndjson"
"""Sorts before the files that hold the versions it corrects: order of reading proves nothing."""

FILES: Final = (
    PATIENTS,
    ENCOUNTERS,
    CONDITIONS,
    PROCEDURES,
    MEDICATIONS,
    ORDERS,
    ADMINISTRATIONS,
    RESULTS,
    MORE_RESULTS,
    VITAL_SIGNS,
    CORRECTIONS,
    COVERAGES,
    ORGANIZATIONS,
)
"""The files of an export. Their names say little about their content, as in real exports."""

Records = dict[str, list[Json]]
"""Records by file name."""


def life_records(
    life: Life, hospital: Hospital, codes: LaboratoryCodes, clock: Clock, chance: Chance
) -> Records:
    """Return everything that the hospital wrote down about a person, untidiness included."""
    records: Records = {name: [] for name in FILES if name != MEDICATIONS}
    person = life.person
    ends = [stay.end for stay in life.stays] + [visit.end for visit in life.visits]
    last = max(ends, default=clock.start)
    updated = min(max(last, person.deceased or 0) + HOUR, clock.end)
    records[PATIENTS].append(patient_record(person, updated, clock))
    for index, stay in enumerate(life.stays):
        if index == 0:
            records[CONDITIONS] += problem_list(stay, clock, chance)
            records[VITAL_SIGNS].append(smoking_record(stay, clock, chance))
        _write_stay(records, stay, hospital, codes, clock, chance)
    for visit in life.visits:
        records[ENCOUNTERS].append(visit_record(visit, person, clock))
        records[CONDITIONS].append(visit_condition(visit, person.id, clock, chance))
        records[VITAL_SIGNS] += visit_observations(visit, person, clock, chance)
    for name in (ENCOUNTERS, CONDITIONS, ORDERS, RESULTS, MORE_RESULTS, VITAL_SIGNS):
        share = hospital.untidiness.duplicate
        records[name] += duplicates(records[name], share, chance)
    return records


def _write_stay(
    records: Records,
    stay: Stay,
    hospital: Hospital,
    codes: LaboratoryCodes,
    clock: Clock,
    chance: Chance,
) -> None:
    shares = hospital.untidiness
    conditions = stay_conditions(stay, hospital, clock, chance)
    records[CONDITIONS] += conditions
    principal_first = [c["id"] for c in conditions if "clinicalStatus" in c]
    records[ENCOUNTERS] += stay_records(stay, principal_first, clock, chance)
    observations = stay_observations(stay, hospital, codes, clock, chance)
    mistaken, corrected = errors_and_corrections(stay, observations, shares, clock, chance)
    measured = len(stay.results)
    half = RESULTS if chance.below(0.5) else MORE_RESULTS
    records[half] += observations[:measured] + mistaken
    records[VITAL_SIGNS] += observations[measured:]
    records[CORRECTIONS] += corrected
    records[PROCEDURES] += procedure_records(stay, hospital, clock, chance)
    orders, given = medicine_records(stay, hospital, clock, chance)
    records[ORDERS] += orders
    records[ADMINISTRATIONS] += given
    if not stay.in_progress and stay.disposition != "expired":
        if chance.below(shares.cancelled_encounter):
            records[ENCOUNTERS].append(cancelled_record(stay, clock, chance))
        if chance.below(shares.mistaken_encounter):
            records[ENCOUNTERS].append(mistaken_record(stay, clock, chance))
