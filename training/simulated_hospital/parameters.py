"""The parameters of the simulated hospital, read from the TOML files beside this one.

The types are strict: a misspelt parameter is an error, not a default.
"""

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from fhir_mappings.errors import StudyError

Code = tuple[str, str]
"""A code and what it means."""


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the hospital is and which days are simulated, both ends included."""

    zone: str
    start: date
    end: date


class Population(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the hospital's patients are, and how often they come."""

    mean_age: float
    sd_age: float
    child_share: float
    maternity_share: float
    admissions_a_year: float
    admissions_shape: float
    emergency_visits_a_year: float
    observation_stays_a_year: float
    outpatient_visits_a_year: float
    languages: tuple[tuple[str, str, float], ...]
    races: tuple[tuple[str, str, float], ...]
    hispanic_share: float


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How stays begin, end and follow one another; shares of one, times in days."""

    transfer_out_share: float
    transfer_chain_share: float
    against_advice_share: float
    through_emergency_share: float
    return_mean_days: float
    death_after_discharge: float
    elective_share: float
    early_elective_share: float
    chemotherapy_share: float
    problem_list_share: float
    coding_share: float
    pending_at_discharge_share: float
    missing_driver_laboratory_share: float


class Sites(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sites of the hospital: each Organization's id, its name, its share of the people."""

    organizations: tuple[tuple[str, str, float], ...]
    elsewhere: float
    """Share of stays and visits at another site than the person's own."""


class Payers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who pays, by the word that records use, with shares; ``none`` where the person does."""

    before_65: tuple[tuple[str, float], ...]
    from_65: tuple[tuple[str, float], ...]
    unrecorded: float


class Bias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a biased simulation plants against those who speak one language."""

    language: str
    """The language tag, as records have it."""
    added_log_odds: float
    recorded_effect: float
    """What is left of each driver's effect."""
    frailty_sd: float
    coding: float
    """What is left of the share of chronic conditions that are coded."""
    missing_driver_laboratory_share: float
    tests: float
    """What is left of the blood tests."""
    emergency_visits: float
    """What is left of the emergency visits on record."""


class Untidiness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of records that are untidy in one way or another."""

    other_unit: float
    unknown_unit: float
    absent_value: float
    entered_in_error: float
    corrected: float
    duplicate: float
    cancelled_encounter: float
    mistaken_encounter: float
    refuted_condition: float


class Risk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the log-odds of an unplanned return hold beside the drivers."""

    intercept: float
    frailty_sd: float
    """Standard deviation of each stay's own frailty, in log-odds, which no record shows."""


class Driver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One driver of the true risk: a value that the records show at discharge, and its effect."""

    name: str
    beta: float
    """Change of the log-odds for one unit of the shaped value."""
    shape: Literal["linear", "log1p", "below"]
    cap: float
    centre: float
    """The shaped value that adds nothing; what a missing value counts as."""
    threshold: float = 0.0
    measure: str
    of: str
    window: str
    features: tuple[str, ...] = ()
    """The declared features that hold this value."""


class Chronic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chronic condition: how common, how coded, how treated, what it does to the blood."""

    name: str
    codes: tuple[Code, ...]
    snomed: Code
    needs: str | None = None
    prevalence: float
    odds_a_decade: float
    rate_factor: float
    lace_points: int
    medicines: tuple[str, ...]
    shifts: dict[str, float]


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A reason for a stay, and how such a stay goes."""

    name: str
    kind: Literal["acute", "elective", "chemotherapy", "maternity", "newborn", "child"]
    needs: str | None = None
    shows: str | None = None
    """The chronic condition that the reason's own code is a code of."""
    code: Code
    weight: float
    days: float
    spread: float
    mortality: float
    facility: float
    service: str
    medicines: tuple[str, ...]
    take_home: tuple[str, ...]
    procedures: tuple[str, ...]
    intensive_care: float = 0.03
    shifts: dict[str, float]


class Laboratory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A laboratory test: its codes with shares, its unit, how its values vary."""

    name: str
    codes: tuple[tuple[str, str, float], ...]
    unit: str
    decimals: int
    scale: Literal["linear", "log"] = "linear"
    mean: float
    between: float
    within: float
    first: float
    again: float
    other_units: tuple[tuple[str, float, int], ...]
    local_share: float = 0.0
    """Share reported under the laboratory's own code alone, without LOINC."""


class Procedure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A procedure: code system, code, our own wording, share of such stays in which it is done."""

    system: str
    code: str
    wording: str
    share: float


class Hospital(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that is set about the simulated hospital."""

    calendar: Calendar
    population: Population
    course: Course
    sites: Sites
    payers: Payers
    bias: Bias
    untidiness: Untidiness
    risk: Risk
    drivers: tuple[Driver, ...] = msgspec.field(name="driver")
    chronic: tuple[Chronic, ...]
    reasons: tuple[Reason, ...] = msgspec.field(name="reason")
    laboratories: tuple[Laboratory, ...] = msgspec.field(name="laboratory")
    medicines: dict[str, str]
    procedures: dict[str, Procedure]


_FILES = (
    "hospital.toml",
    "drivers.toml",
    "illnesses.toml",
    "reasons.toml",
    "laboratories.toml",
    "treatments.toml",
)


@cache
def load_hospital() -> Hospital:
    """Read and check the parameters.

    Raises ``StudyError`` where a file does not fit the types, or where a condition, a reason or a
    shift names something that is declared nowhere.
    """
    tables: dict[str, object] = {}
    for name in _FILES:
        text = (files("training.simulated_hospital") / name).read_text(encoding="utf-8")
        tables |= tomllib.loads(text)
    try:
        hospital = msgspec.convert(tables, Hospital)
    except msgspec.ValidationError as fault:
        raise StudyError(f"parameters of the simulated hospital: {fault}") from fault
    _check_names(hospital)
    return hospital


def _check_names(hospital: Hospital) -> None:
    chronic = {condition.name for condition in hospital.chronic}
    tests = {laboratory.name for laboratory in hospital.laboratories}
    illnesses: tuple[Chronic | Reason, ...] = (*hospital.chronic, *hospital.reasons)
    for illness in illnesses:
        unknown = {*illness.shifts} - tests | {*illness.medicines} - {*hospital.medicines}
        if illness.needs is not None:
            unknown |= {illness.needs} - chronic
        if isinstance(illness, Reason):
            if illness.shows is not None:
                unknown |= {illness.shows} - chronic
            unknown |= {*illness.take_home} - {*hospital.medicines}
            unknown |= {*illness.procedures} - {*hospital.procedures}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise StudyError(f"the simulated hospital's {illness.name!r} names unknown: {names}")
