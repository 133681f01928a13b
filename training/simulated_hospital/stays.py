"""One hospital stay: its reason, its length, its blood tests, its treatment and how it ends."""

import math
from dataclasses import dataclass, field
from typing import Literal

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import DAY, HOUR, MINUTE, Clock
from training.simulated_hospital.parameters import Hospital, Laboratory, Reason
from training.simulated_hospital.population import Person

Disposition = Literal[
    "home",
    "home_care",
    "skilled_nursing",
    "rehabilitation",
    "long_term",
    "transfer",
    "against_advice",
    "expired",
]
AdmissionSource = Literal["emergency", "physician", "transfer", "born", "outpatient"]
FACILITIES: frozenset[Disposition] = frozenset({"skilled_nursing", "rehabilitation", "long_term"})
"""Discharges to another facility, in the sense of the driver `discharge_to_facility`."""

DRIVER_LABORATORIES = ("hemoglobin", "sodium")
"""The tests whose last value drives the risk. Their last value is never made unreadable."""

COMMON_MEDICINES = (
    "acetaminophen",
    "omeprazole",
    "gabapentin",
    "docusate",
    "tamsulosin",
    "allopurinol",
    "folic_acid",
    "potassium_chloride",
    "sertraline",
    "oxycodone",
)
"""What people take home besides, whatever brought them in."""


@dataclass(slots=True)
class Result:
    """One laboratory result, in the test's own unit and rounded as reported."""

    laboratory: Laboratory
    drawn: int
    issued: int
    value: float
    decisive: bool = False
    """The last value that was out before discharge: the one that a correct reader sees."""


@dataclass(slots=True)
class Visit:
    """An emergency visit on its own, an observation stay or an outpatient visit."""

    id: str
    kind: Literal["emergency", "observation", "outpatient"]
    start: int
    end: int
    site: str = ""
    """The Organization where it was."""


@dataclass(slots=True)
class Stay:
    """One inpatient stay, from arrival to the end; None where something is not (yet) so."""

    id: str
    person: Person
    reason: Reason
    planned: bool
    emergency: int | None
    """Arrival in the emergency department, where the stay began there."""
    admission_source: AdmissionSource
    segments: list[tuple[str, int, int]]
    """Encounter id, start and end of each part; two parts are a transfer within one stay."""
    disposition: Disposition | None = None
    in_progress: bool = False
    intensive_care: bool = False
    coded: list[tuple[str, tuple[str, str], tuple[str, str] | None]] = field(default_factory=list)
    """Chronic conditions coded at this stay: name, ICD-10-CM, SNOMED CT."""
    results: list[Result] = field(default_factory=list)
    inpatient_medicines: list[str] = field(default_factory=list)
    take_home: list[str] = field(default_factory=list)
    procedures: list[str] = field(default_factory=list)
    values: dict[str, float | None] = field(default_factory=dict)
    """The value of each driver as the records show it at discharge."""
    contributions: tuple[float, ...] = ()
    log_odds: float | None = None
    """Intercept and contributions, without frailty; None where no return is possible."""
    true_risk: float | None = None
    outcome: bool = False
    """An unplanned stay begins more than 0 and at most 30 days after this one ended."""
    exclusion: str = ""
    """Why this stay is no index stay; empty for an index stay."""
    lace: int = 0
    site: str = ""
    """The Organization where it was."""

    @property
    def arrival(self) -> int:
        """The moment that the patient came, through the emergency department or not."""
        return self.segments[0][1] if self.emergency is None else self.emergency

    @property
    def start(self) -> int:
        """The moment of admission."""
        return self.segments[0][1]

    @property
    def end(self) -> int:
        """The moment of discharge or death (for a stay in progress: when it will be)."""
        return self.segments[-1][2]

    @property
    def days(self) -> float:
        """Length of stay in days."""
        return (self.end - self.start) / DAY


def choose_reason(person: Person, kind: str, hospital: Hospital, chance: Chance) -> Reason:
    """Draw why a person comes; what needs a condition comes only to those who have it."""
    possible = [
        reason
        for reason in hospital.reasons
        if reason.kind == kind and (reason.needs is None or person.has(reason.needs))
    ]
    return chance.weighted(possible, [reason.weight for reason in possible])


def draw_end(start: int, reason: Reason, clock: Clock, chance: Chance) -> int:
    """Draw when a stay ends: a log-normal number of nights, then discharge in the daytime."""
    nights = int(math.exp(math.log(reason.days) + reason.spread * chance.normal()) + 0.5)
    end = clock.midnight(start, nights) + int(chance.between(10.0, 18.0) * HOUR)
    if end < start + 5 * HOUR:
        end = start + int(chance.between(6.0, 20.0) * HOUR)
    return end


def draw_results(stay: Stay, hospital: Hospital, until: int, clock: Clock, chance: Chance) -> None:
    """Draw the laboratory results of a stay until a moment, and mark the decisive ones.

    Blood is drawn on arrival and on some mornings. A few results are still pending at discharge:
    they are issued after it, and nobody who decides at discharge can know them.
    """
    course = hospital.course
    omitted = {
        name for name in DRIVER_LABORATORIES if chance.below(course.missing_driver_laboratory_share)
    }
    draws = _draw_moments(stay, clock, chance)
    deviations = {laboratory.name: chance.normal() for laboratory in hospital.laboratories}
    for index, drawn in enumerate(draws):
        progress = (drawn - stay.arrival) / max(stay.end - stay.arrival, 1)
        for laboratory in hospital.laboratories:
            share = laboratory.first if index == 0 else laboratory.again
            if laboratory.name in omitted or not chance.below(share):
                continue
            issued = drawn + int(chance.between(35.0, 150.0) * MINUTE)
            if drawn >= until or issued >= until:
                continue
            value = _draw_value(stay, laboratory, progress, deviations[laboratory.name], chance)
            stay.results.append(Result(laboratory, drawn, issued, value))
    _mark_decisive(stay)
    if not stay.in_progress and chance.below(course.pending_at_discharge_share):
        _draw_pending(stay, hospital, chance)


def _draw_moments(stay: Stay, clock: Clock, chance: Chance) -> list[int]:
    moments = [stay.arrival + int(chance.between(15.0, 90.0) * MINUTE)]
    nights = (stay.end - clock.midnight(stay.start)) // DAY
    step = 1 if nights <= 4 else 2 if nights <= 8 else 3
    for day in range(1, nights + 1):
        if day % step and day != nights:
            continue
        morning = clock.midnight(stay.start, day) + int(chance.between(5.0, 6.5) * HOUR)
        if morning > moments[-1] + 4 * HOUR and morning + 3 * HOUR < stay.end:
            moments.append(morning)
    return moments


def _draw_value(
    stay: Stay, laboratory: Laboratory, progress: float, deviation: float, chance: Chance
) -> float:
    level = stay.person.levels.get(laboratory.name, laboratory.mean)
    level += stay.reason.shifts.get(laboratory.name, 0.0) * (1.0 - 0.6 * progress)
    level += laboratory.within * (0.8 * deviation + 0.6 * chance.normal())
    if laboratory.scale == "log":
        level = math.exp(level)
    elif laboratory.name == "hemoglobin":
        level = min(max(level, 5.5), 18.0)
    elif laboratory.name == "sodium":
        level = min(max(level, 112.0), 158.0)
    return round(max(level, 0.001), laboratory.decimals)


def _mark_decisive(stay: Stay) -> None:
    for name in DRIVER_LABORATORIES:
        last = None
        for result in stay.results:
            if result.laboratory.name == name:
                last = result
        if last is not None:
            last.decisive = True


def _draw_pending(stay: Stay, hospital: Hospital, chance: Chance) -> None:
    drawn = stay.end - int(chance.between(10.0, 40.0) * MINUTE)
    for laboratory in hospital.laboratories:
        if laboratory.name in DRIVER_LABORATORIES:
            value = _draw_value(stay, laboratory, 1.0, chance.normal(), chance)
            issued = stay.end + int(chance.between(30.0, 300.0) * MINUTE)
            stay.results.append(Result(laboratory, drawn, issued, value))


def draw_treatment(stay: Stay, hospital: Hospital, chance: Chance) -> None:
    """Draw orders, procedures, the codes given at discharge and what the patient takes home."""
    person, reason = stay.person, stay.reason
    stay.intensive_care = chance.below(reason.intensive_care)
    home = [medicine for medicine in person.home_medicines if chance.below(0.92)]
    common = [m for m in COMMON_MEDICINES if chance.below(0.14)]
    stay.inpatient_medicines = list(
        dict.fromkeys([*reason.medicines, *(m for m in home if chance.below(0.6)), *common[:1]])
    )
    stay.procedures = [p for p in reason.procedures if chance.below(hospital.procedures[p].share)]
    stay.coded = [
        (chronic.name, code, chronic.snomed)
        for chronic, code in person.chronic
        if chance.below(hospital.course.coding_share)
    ]
    if stay.disposition not in ("expired", None):
        taken = [*home, *(m for m in reason.take_home if chance.below(0.85)), *common]
        stay.take_home = list(dict.fromkeys(taken))


def draw_disposition(stay: Stay, age: float, hospital: Hospital, chance: Chance) -> Disposition:
    """Draw how a stay ends. The old, and those who stayed long, die or go to a facility more."""
    course, reason = hospital.course, stay.reason
    toss = chance.uniform()
    died = reason.mortality * math.exp(0.035 * (age - 70.0))
    if toss < died:
        return "expired"
    if stay.planned or reason.kind not in ("acute", "child"):
        toss = 1.0
    if toss < died + course.transfer_out_share:
        return "transfer"
    if toss < died + course.transfer_out_share + course.against_advice_share:
        return "against_advice"
    odds = reason.facility / (1.0 - reason.facility)
    odds *= math.exp(0.05 * (age - 70.0)) * min(max(stay.days / 5.0, 0.4), 2.0)
    if chance.below(odds / (1.0 + odds)):
        return chance.weighted(
            ("skilled_nursing", "rehabilitation", "long_term"), (0.75, 0.19, 0.06)
        )
    return "home_care" if chance.below(0.16 + 0.005 * max(age - 65.0, 0.0)) else "home"
