"""A bias planted on purpose: one group's records are poorer and say less about its risk.

Whoever builds a gate against unfair models must see it close. The bias is a hospital of its own for
those whom it is against: the same people come, less is written down about them, and what is written
moves their risk less. A simulation without bias treats them like everybody else.
"""

from functools import cache

from msgspec.structs import replace

from training.simulated_hospital.parameters import Hospital, load_hospital
from training.simulated_hospital.population import Person


def is_against(person: Person, hospital: Hospital) -> bool:
    """Say whether the planted bias would be against this person."""
    return person.language[0] == hospital.bias.language


def hospital_of(person: Person, hospital: Hospital, *, biased: bool) -> Hospital:
    """Return the hospital as this person meets it."""
    return biased_hospital() if biased and is_against(person, hospital) else hospital


@cache
def biased_hospital() -> Hospital:
    """Return the parameters for those whom the bias is against (see ``[bias]``, hospital.toml)."""
    hospital = load_hospital()
    bias, course, population = hospital.bias, hospital.course, hospital.population
    return replace(
        hospital,
        course=replace(
            course,
            coding_share=course.coding_share * bias.coding,
            missing_driver_laboratory_share=bias.missing_driver_laboratory_share,
        ),
        population=replace(
            population,
            emergency_visits_a_year=population.emergency_visits_a_year * bias.emergency_visits,
        ),
        risk=replace(
            hospital.risk,
            intercept=hospital.risk.intercept + bias.added_log_odds,
            frailty_sd=bias.frailty_sd,
        ),
        drivers=tuple(
            replace(driver, beta=driver.beta * bias.recorded_effect) for driver in hospital.drivers
        ),
        laboratories=tuple(
            replace(test, first=test.first * bias.tests, again=test.again * bias.tests)
            for test in hospital.laboratories
        ),
    )
