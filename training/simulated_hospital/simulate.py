"""Simulating the hospital: from a number of patients and a seed to a folder of FHIR records."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fhir_mappings.errors import StudyError
from training.simulated_hospital.bias import hospital_of
from training.simulated_hospital.care import formulary
from training.simulated_hospital.chance import AFFILIATION, COURSE, RECORDS, Chance
from training.simulated_hospital.clock import Clock
from training.simulated_hospital.course import live
from training.simulated_hospital.export import Export
from training.simulated_hospital.observations import LaboratoryCodes
from training.simulated_hospital.parameters import load_hospital
from training.simulated_hospital.population import draw_person
from training.simulated_hospital.records import (
    COVERAGES,
    FILES,
    MEDICATIONS,
    ORGANIZATIONS,
    VITAL_SIGNS,
    life_records,
)
from training.simulated_hospital.sites_and_payers import (
    assign_sites,
    coverage_records,
    organizations,
)
from training.simulated_hospital.stays import Stay
from training.simulated_hospital.truth import write_truth
from training.simulated_hospital.untidiness import MALFORMED_LINES

_PROGRESS_EVERY = 100


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """What was simulated, and what the truth of its index stays is like."""

    patients: int
    """Patients, newborns included: the lines of ``Patient.ndjson``."""
    stays: int
    index_stays: int
    readmissions: int
    readmission_rate: float
    mean_observable_risk: float
    best_possible_auroc: float
    """AUROC of the observable risk: no model can be expected to do better on new stays."""
    true_risk_auroc: float
    """AUROC of the true risk, frailty included, which no record shows."""
    median_length_of_stay: float
    mean_length_of_stay: float
    high_lace_share: float
    """Share of index stays with LACE >= 10."""
    hospital_mortality: float
    files: tuple[str, ...]
    resources: int
    """Well-formed resources written, duplicates and later versions included."""
    malformed_lines: int
    biased: bool
    """Whether a bias against one group was planted."""
    seconds: float


def simulate(
    out: Path,
    patients: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    biased: bool = False,
) -> SimulationSummary:
    """Simulate the hospital's patients and write their records and the truth behind them.

    Writes NDJSON files (some gzipped) to ``out``, and ``truth/truth.csv`` and
    ``truth/drivers.txt`` below it. The same ``patients`` and ``seed`` give the same bytes, and a
    person lives the same life whatever the number of patients.

    ``biased`` plants a bias against one group (``[bias]`` in hospital.toml): their records are
    poorer and say less about their risk, which is higher. All others live the same lives.

    ``progress`` is called with (patients done, patients in all) now and then and at the end.

    Raises ``StudyError`` for less than one patient, and if ``out`` holds other NDJSON files.
    """
    if patients < 1 or seed < 0:
        raise StudyError("a simulation needs at least one patient and a seed of 0 or more")
    began = time.perf_counter()
    hospital = load_hospital()
    clock = Clock(hospital.calendar.zone, hospital.calendar.start, hospital.calendar.end)
    codes = LaboratoryCodes(hospital)
    stays: list[Stay] = []
    people = 0
    with Export(out) as export:
        export.write({MEDICATIONS: formulary(hospital), ORGANIZATIONS: organizations(hospital)})
        for number in range(1, patients + 1):
            course = Chance(seed, number, COURSE)
            writing = Chance(seed, number, RECORDS)
            affiliation = Chance(seed, number, AFFILIATION)
            person = draw_person(number, hospital, clock, course)
            own = hospital_of(person, hospital, biased=biased)
            life = live(person, own, clock, course)
            export.write({COVERAGES: coverage_records(person, hospital, clock, affiliation)})
            assign_sites(life, hospital, affiliation)
            for one in (life, *life.newborns):
                export.write(life_records(one, hospital, codes, clock, writing))
                stays += one.stays
                people += 1
            if number == patients // 2 + 1:
                export.write_lines(VITAL_SIGNS, MALFORMED_LINES)
            if progress is not None and (number % _PROGRESS_EVERY == 0 or number == patients):
                progress(number, patients)
    truth = write_truth(out / "truth", stays, hospital, clock, biased=biased)
    return SimulationSummary(
        patients=people,
        stays=truth.stays,
        index_stays=truth.index_stays,
        readmissions=truth.readmissions,
        readmission_rate=truth.readmission_rate,
        mean_observable_risk=truth.mean_observable_risk,
        best_possible_auroc=truth.best_possible_auroc,
        true_risk_auroc=truth.true_risk_auroc,
        median_length_of_stay=truth.median_length_of_stay,
        mean_length_of_stay=truth.mean_length_of_stay,
        high_lace_share=truth.high_lace_share,
        hospital_mortality=truth.hospital_mortality,
        files=(*FILES, "truth/truth.csv", "truth/drivers.txt"),
        resources=export.resources,
        malformed_lines=len(MALFORMED_LINES),
        biased=biased,
        seconds=time.perf_counter() - began,
    )
