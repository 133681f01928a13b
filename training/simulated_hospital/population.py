"""Who the simulated hospital's patients are: fictitious from name to blood count."""

import math
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import YEAR, Clock
from training.simulated_hospital.parameters import Chronic, Hospital

Kind = Literal["adult", "maternity", "child", "newborn"]

_GIVEN = {
    "female": ("Amarita", "Belinde", "Corisande", "Delphira", "Evelisa", "Fioralba", "Ginevra"),
    "male": ("Aldwyn", "Bertolin", "Cassimir", "Dorwin", "Elmar", "Farold", "Gunnolf"),
}
_FAMILY = ("Testwood", "Mockford", "Simmonsen", "Samplesby", "Dummering", "Fauxley", "Trialton")
_CITIES = (("Mockton", "02999"), ("Sampleville", "01999"), ("Fauxbridge", "03999"))

_TYPICAL_AGE = 65.0
_NEVER_ILL_BEFORE = 18.0


@dataclass(slots=True)
class Person:
    """One fictitious person."""

    id: str
    kind: Kind
    sex: Literal["female", "male"]
    birth: date
    given: str
    family: str
    city: str
    postal_code: str
    race: tuple[str, str]
    hispanic: bool
    language: tuple[str, str]
    chronic: list[tuple[Chronic, tuple[str, str]]]
    """Each chronic condition with the code that this person's is coded as."""
    problem_list: set[str]
    """Names of the chronic conditions that stand on the problem list."""
    admissions_a_year: float
    """Rate of stays that are not returns within 30 days."""
    levels: dict[str, float]
    """This person's own level of each laboratory test, in the scale of its parameters."""
    weight_kg: float
    chemotherapy: bool
    deceased: int | None = None
    """Moment of death, where it falls into the simulated years."""
    mother: str | None = None
    """The stay that a newborn was born in."""
    home_medicines: list[str] = field(default_factory=list)

    def has(self, condition: str) -> bool:
        """Say whether the person has a chronic condition."""
        return any(chronic.name == condition for chronic, _ in self.chronic)

    def age(self, moment: int, clock: Clock) -> float:
        """Return the age in years (exact to a day)."""
        return (clock.day(moment) - self.birth).days / 365.25


def draw_person(number: int, hospital: Hospital, clock: Clock, chance: Chance) -> Person:
    """Draw one person of the population."""
    population = hospital.population
    toss = chance.uniform()
    kind: Kind = "adult"
    if toss < population.child_share:
        kind, age = "child", chance.between(1.0, 14.0)
    elif toss < population.child_share + population.maternity_share:
        kind, age = "maternity", chance.between(19.0, 40.0)
    else:
        age = population.mean_age + population.sd_age * chance.normal()
        age = min(max(age, 18.5 + chance.uniform()), 97.0)
    female = kind == "maternity" or chance.below(0.52)
    person = _draw_identity(f"sim-{number:06d}", kind, female, age, hospital, clock, chance)
    if kind == "adult":
        person.chronic = _draw_chronic(age, hospital, chance)
    person.problem_list = {
        chronic.name
        for chronic, _ in person.chronic
        if chance.below(hospital.course.problem_list_share)
    }
    person.admissions_a_year = _draw_rate(person, age, hospital, chance)
    person.levels = _draw_levels(person, hospital, chance)
    person.home_medicines = [
        medicine
        for medicine in dict.fromkeys(m for chronic, _ in person.chronic for m in chronic.medicines)
        if chance.below(0.8)
    ]
    person.chemotherapy = person.has("cancer") and chance.below(hospital.course.chemotherapy_share)
    return person


def draw_newborn(mother: Person, stay: str, birth: int, clock: Clock, chance: Chance) -> Person:
    """Draw the child born in a mother's stay: a patient of its own."""
    sex: Literal["female", "male"] = "female" if chance.below(0.49) else "male"
    return Person(
        id=f"{stay}-newborn",
        kind="newborn",
        sex=sex,
        birth=clock.day(birth),
        given=chance.pick(_GIVEN[sex]),
        family=mother.family,
        city=mother.city,
        postal_code=mother.postal_code,
        race=mother.race,
        hispanic=mother.hispanic,
        language=mother.language,
        chronic=[],
        problem_list=set(),
        admissions_a_year=0.0,
        levels={},
        weight_kg=3.4 + 0.4 * chance.normal(),
        chemotherapy=False,
        mother=stay,
    )


def _draw_identity(
    name: str,
    kind: Kind,
    female: bool,
    age: float,
    hospital: Hospital,
    clock: Clock,
    chance: Chance,
) -> Person:
    population = hospital.population
    race = chance.weighted(population.races, [share for *_, share in population.races])
    language = chance.weighted(population.languages, [share for *_, share in population.languages])
    city, postal_code = chance.pick(_CITIES)
    sex: Literal["female", "male"] = "female" if female else "male"
    adult_weight = (72.0 if female else 84.0) + 15.0 * chance.normal()
    return Person(
        id=name,
        kind=kind,
        sex=sex,
        birth=clock.day(clock.start) - timedelta(days=int(age * 365.25)),
        given=chance.pick(_GIVEN[sex]),
        family=f"{chance.pick(_FAMILY)}-{name[-4:]}",
        city=city,
        postal_code=postal_code,
        race=(race[0], race[1]),
        hispanic=chance.below(population.hispanic_share),
        language=(language[0], language[1]),
        chronic=[],
        problem_list=set(),
        admissions_a_year=0.0,
        levels={},
        weight_kg=max(adult_weight, 42.0) if kind != "child" else 8.0 + 3.0 * age,
        chemotherapy=False,
    )


def _draw_chronic(
    age: float, hospital: Hospital, chance: Chance
) -> list[tuple[Chronic, tuple[str, str]]]:
    found: list[tuple[Chronic, tuple[str, str]]] = []
    names: set[str] = set()
    for chronic in hospital.chronic:
        if chronic.needs is not None and chronic.needs not in names:
            continue
        decades = (max(age, _NEVER_ILL_BEFORE) - _TYPICAL_AGE) / 10.0
        odds = chronic.prevalence / (1 - chronic.prevalence) * chronic.odds_a_decade**decades
        if chance.below(odds / (1 + odds)):
            names.add(chronic.name)
            found.append((chronic, chance.pick(chronic.codes)))
    return found


def _draw_rate(person: Person, age: float, hospital: Hospital, chance: Chance) -> float:
    population = hospital.population
    if person.kind != "adult":
        return 0.15
    factor = chance.gamma(population.admissions_shape)
    for chronic, _ in person.chronic:
        factor *= chronic.rate_factor
    # Whoever is in the records was a patient: nobody's rate is close to nothing.
    return (0.06 + population.admissions_a_year * factor) * math.exp(0.01 * (age - _TYPICAL_AGE))


def _draw_levels(person: Person, hospital: Hospital, chance: Chance) -> dict[str, float]:
    levels: dict[str, float] = {}
    for laboratory in hospital.laboratories:
        level = laboratory.mean + laboratory.between * chance.normal()
        for chronic, _ in person.chronic:
            level += chronic.shifts.get(laboratory.name, 0.0)
        levels[laboratory.name] = level
    if "hemoglobin" in levels:
        levels["hemoglobin"] += -0.4 if person.sex == "female" else 0.4
    return levels


def first_contact(person: Person, clock: Clock, chance: Chance) -> int:
    """Draw when the first stay falls due: somewhere in the simulated years."""
    mean = YEAR / max(person.admissions_a_year, 0.05)
    return clock.start + int(min(chance.exponential(mean), chance.between(0.1, 2.9) * YEAR))
