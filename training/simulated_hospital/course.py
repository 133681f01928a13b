"""The course of an illness: stay after stay, and what happens between them.

Whether a stay is followed by an unplanned return within 30 days is drawn from its true risk, and
from nothing else. All other events (deaths, planned stays, later admissions) are drawn after that
and arranged around it, so the risk written down is exactly the probability that was drawn from.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import DAY, HOUR, MINUTE, YEAR, Clock
from training.simulated_hospital.parameters import Hospital
from training.simulated_hospital.population import Person, draw_newborn, first_contact
from training.simulated_hospital.risk import contributions, probability
from training.simulated_hospital.stays import (
    FACILITIES,
    AdmissionSource,
    Stay,
    Visit,
    choose_reason,
    draw_disposition,
    draw_end,
    draw_results,
    draw_treatment,
)

RETURN_DAYS = 30
"""The horizon of the outcome, in days."""

_EARLIEST_RETURN = 1.1
_LATEST_RETURN = 29.3
_EARLIEST_OTHER = 31.1
"""Days after discharge. They keep clear of 0.5, 1 and 30, so that no rule for merging parts of a
stay, and no way of counting days, turns a return into none or the other way round."""

_CHILD_RETURN = 0.05


@dataclass(slots=True)
class Life:
    """What a person has had: stays and visits in order of time, and children born here."""

    person: Person
    stays: list[Stay] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    newborns: list["Life"] = field(default_factory=list)
    emergency_arrivals: list[int] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """Chronic conditions that the records have shown so far."""


@dataclass(slots=True)
class _Next:
    """The next stay to come."""

    arrival: int
    kind: str
    not_before: int = 0
    """No unplanned stay after that next one may begin before this moment: a planned stay within
    30 days of an index stay must not be followed by an unplanned one within those 30 days."""


def live(person: Person, hospital: Hospital, clock: Clock, chance: Chance) -> Life:
    """Simulate a person through the hospital's calendar."""
    life = Life(person)
    kind = {"maternity": "maternity", "child": "child"}.get(person.kind, "acute")
    upcoming: _Next | None = _Next(first_contact(person, clock, chance), kind)
    since = clock.start
    # The last hours are left out: nobody is between the emergency department and a ward when the
    # export is made.
    while upcoming is not None and upcoming.arrival < clock.end - 12 * HOUR:
        _visit(life, since, upcoming.arrival, hospital, chance)
        stay = _admit(life, upcoming, hospital, clock, chance)
        since = stay.end
        upcoming = _what_follows(life, stay, upcoming.not_before, hospital, chance)
    last = clock.end if person.deceased is None else person.deceased
    _visit(life, since, min(last, clock.end), hospital, chance)
    _settle(life, clock)
    return life


def _visit(life: Life, since: int, until: int, hospital: Hospital, chance: Chance) -> None:
    """Draw the visits between two stays, clear of both by more than half a day."""
    population = hospital.population
    years = (until - since) / YEAR
    if years < 0.008:
        return
    sicker = 0.5 + 0.5 * min(life.person.admissions_a_year / 0.5, 4.0)
    if life.person.kind != "adult":
        sicker = 0.5
    drawn: list[tuple[int, int, str]] = []
    for kind, rate, shortest, longest in (
        ("emergency", population.emergency_visits_a_year * sicker, 1.5, 8.0),
        ("observation", population.observation_stays_a_year * sicker, 14.0, 40.0),
        ("outpatient", population.outpatient_visits_a_year, 0.3, 0.8),
    ):
        for _ in range(chance.poisson(rate * years)):
            length = int(chance.between(shortest, longest) * HOUR)
            start = int(chance.between(since + 14 * HOUR, until))
            if start + length + 14 * HOUR < until:
                drawn.append((start, start + length, kind))
    free = since
    for start, end, kind in sorted(drawn):
        if start < free + 13 * HOUR:
            continue
        free = end
        name = f"{life.person.id}-v{len(life.visits) + 1:02d}"
        if kind == "emergency":
            life.visits.append(Visit(name, "emergency", start, end))
            life.emergency_arrivals.append(start)
        else:
            life.visits.append(
                Visit(name, "observation" if kind == "observation" else "outpatient", start, end)
            )


def _admit(life: Life, upcoming: _Next, hospital: Hospital, clock: Clock, chance: Chance) -> Stay:
    person = life.person
    stay = _arrive(life, upcoming, hospital, clock, chance)
    stay.in_progress = stay.end >= clock.end
    if not stay.in_progress:
        age = person.age(stay.end, clock)
        stay.disposition = draw_disposition(stay, age, hospital, chance)
        if stay.disposition == "expired":
            person.deceased = stay.end
    draw_treatment(stay, hospital, chance)
    draw_results(stay, hospital, min(stay.end, clock.end), clock, chance)
    if not stay.in_progress:
        _assess(life, stay, hospital, clock, chance)
    if stay.emergency is not None:
        life.emergency_arrivals.append(stay.emergency)
    life.stays.append(stay)
    if stay.reason.kind == "maternity":
        life.newborns.append(_bear(life, stay, hospital, clock, chance))
    return stay


def _arrive(life: Life, upcoming: _Next, hospital: Hospital, clock: Clock, chance: Chance) -> Stay:
    course, person = hospital.course, life.person
    reason = choose_reason(person, upcoming.kind, hospital, chance)
    planned = reason.kind in ("elective", "chemotherapy")
    name = f"{person.id}-s{len(life.stays) + 1:02d}"
    emergency: int | None = None
    start = upcoming.arrival
    source: AdmissionSource = "physician"
    if planned:
        start = clock.midnight(start) + int(chance.between(7.0, 11.0) * HOUR)
        source = "outpatient"
    elif reason.kind == "acute" or reason.kind == "child":
        if chance.below(course.through_emergency_share):
            emergency, source = start, "emergency"
            start += int(chance.between(2.0, 11.0) * HOUR)
        elif chance.below(0.3):
            source = "transfer"
    end = draw_end(start, reason, clock, chance)
    segments = [(name, start, end)]
    if end - start > 2 * DAY and end < clock.end and chance.below(course.transfer_chain_share):
        middle = start + int((end - start) * chance.between(0.2, 0.6))
        gap = int(chance.between(1.0, 3.0) * HOUR)
        segments = [(name, start, middle), (f"{name}b", middle + gap, end)]
    return Stay(
        id=name,
        person=person,
        reason=reason,
        planned=planned,
        emergency=emergency,
        admission_source=source,
        segments=segments,
    )


def _assess(life: Life, stay: Stay, hospital: Hospital, clock: Clock, chance: Chance) -> None:
    """Work out what the records show at discharge, and from it the risk."""
    person = life.person
    if not life.stays:
        life.known |= person.problem_list
    life.known |= {name for name, *_ in stay.coded}
    if stay.reason.shows is not None:
        life.known.add(stay.reason.shows)
    stay.exclusion = _exclusion(stay, clock)
    if person.kind != "adult" or stay.disposition == "expired":
        return
    latest = {r.laboratory.name: r.value for r in stay.results if r.decisive}
    year, half = stay.arrival - 365 * DAY, stay.arrival - 183 * DAY
    stay.values = {
        "prior_admissions": sum(year <= earlier.start < stay.arrival for earlier in life.stays),
        "emergency_visits": len(life.emergency_arrivals)
        - bisect_left(life.emergency_arrivals, half),
        "heart_failure": float("heart_failure" in life.known),
        "chronic_pulmonary_disease": float("chronic_pulmonary_disease" in life.known),
        "renal_disease": float("renal_disease" in life.known),
        "cancer": float("cancer" in life.known or "metastasis" in life.known),
        "length_of_stay": stay.days,
        "last_haemoglobin": latest.get("hemoglobin"),
        "last_sodium": latest.get("sodium"),
        "discharge_to_facility": float(stay.disposition in FACILITIES),
        "discharge_prescriptions": float(len(stay.take_home)),
        "age": person.age(stay.arrival, clock),
    }
    stay.contributions = contributions(hospital.drivers, stay.values)
    stay.log_odds = hospital.risk.intercept + sum(stay.contributions)
    stay.true_risk = probability(stay.log_odds + hospital.risk.frailty_sd * chance.normal())
    stay.lace = _lace(stay, life, clock)


def _exclusion(stay: Stay, clock: Clock) -> str:
    if stay.reason.kind in ("maternity", "newborn"):
        return "obstetric" if stay.reason.kind == "maternity" else "newborn"
    if stay.disposition in ("expired", "against_advice", "transfer"):
        return {"expired": "died", "transfer": "transferred_out"}.get(
            stay.disposition, stay.disposition
        )
    if stay.person.age(stay.arrival, clock) < 18.0:
        return "child"
    return "follow_up" if stay.end + RETURN_DAYS * DAY > clock.end else ""


def _lace(stay: Stay, life: Life, clock: Clock) -> int:
    """Return the LACE score, doi:10.1503/cmaj.091117: an anchor of the simulation."""
    days = (clock.day(stay.end) - clock.day(stay.start)).days
    length = days if days <= 3 else 4 if days <= 6 else 5 if days <= 13 else 7
    burden = sum(c.lace_points for c, _ in life.person.chronic if c.name in life.known)
    visits = min(int(stay.values["emergency_visits"] or 0), 4)
    return length + (0 if stay.planned else 3) + (burden if burden < 4 else 5) + visits


def _what_follows(
    life: Life, stay: Stay, not_before: int, hospital: Hospital, chance: Chance
) -> _Next | None:
    """Draw the next stay: a return with the true risk, else anything that is none."""
    person, course = life.person, hospital.course
    if stay.in_progress or stay.disposition == "expired":
        return None
    if person.kind == "maternity":
        return None
    kind = "child" if person.kind == "child" else "acute"
    risk = _CHILD_RETURN if stay.true_risk is None else stay.true_risk
    if chance.below(risk):
        low = max(_EARLIEST_RETURN, (not_before - stay.end) / DAY)
        days = chance.early(course.return_mean_days, low, _LATEST_RETURN)
        return _Next(stay.end + int(days * DAY), kind)
    barred = stay.end + int(_EARLIEST_OTHER * DAY)
    if kind == "child":
        return _Next(barred + int(chance.exponential(YEAR / 0.2)), kind)
    if chance.below(course.death_after_discharge * (1.0 + person.has("cancer"))):
        person.deceased = stay.end + int(chance.between(1.5, 60.0) * DAY)
        return None
    had = sum(earlier.reason.kind == "chemotherapy" for earlier in life.stays)
    if person.chemotherapy and had < 4 and chance.below(0.7):
        return _Next(stay.end + int(chance.between(12.0, 27.0) * DAY), "chemotherapy", barred)
    had = sum(earlier.reason.kind == "elective" for earlier in life.stays)
    if not had and chance.below(course.early_elective_share):
        return _Next(stay.end + int(chance.between(12.0, 28.0) * DAY), "elective", barred)
    wait = int(chance.exponential(YEAR / person.admissions_a_year))
    if had < 2 and chance.below(course.elective_share):
        kind = "elective"
    return _Next(max(barred, not_before) + wait, kind)


def _bear(mother: Life, stay: Stay, hospital: Hospital, clock: Clock, chance: Chance) -> Life:
    """Add the newborn: a patient with a stay of its own within its mother's."""
    birth = stay.start + int(chance.between(2.0, 20.0) * HOUR)
    child = draw_newborn(mother.person, stay.id, birth, clock, chance)
    reason = next(reason for reason in hospital.reasons if reason.kind == "newborn")
    newborn = Stay(
        id=f"{child.id}-s01",
        person=child,
        reason=reason,
        planned=False,
        emergency=None,
        admission_source="born",
        segments=[(f"{child.id}-s01", birth, max(stay.end, birth + 6 * HOUR) - 5 * MINUTE)],
    )
    newborn.in_progress = newborn.end >= clock.end
    if not newborn.in_progress:
        newborn.disposition = "home"
        newborn.exclusion = "newborn"
    return Life(child, stays=[newborn])


def _settle(life: Life, clock: Clock) -> None:
    """Say of each stay whether an unplanned one followed, as the records will show it."""
    if life.person.deceased is not None and life.person.deceased >= clock.end:
        life.person.deceased = None
    for stay, following in zip(life.stays, life.stays[1:], strict=False):
        after = following.start - stay.end
        stay.outcome = not following.planned and 0 < after <= RETURN_DAYS * DAY
    for stay in life.stays:
        if stay.in_progress:
            stay.exclusion = "in_progress"
