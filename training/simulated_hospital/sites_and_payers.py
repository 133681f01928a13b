"""Where a person is treated and who pays: drawn after a life was lived, so that it changes none."""

from datetime import date, timedelta

from training.simulated_hospital.chance import Chance
from training.simulated_hospital.clock import Clock
from training.simulated_hospital.coding import COVERAGE_TYPES, Json, hl7, reference
from training.simulated_hospital.course import Life
from training.simulated_hospital.parameters import Hospital
from training.simulated_hospital.population import Person
from training.simulated_hospital.stays import Stay, Visit

_RETIREMENT = 65
_INSURED_SINCE = 2021


def assign_sites(life: Life, hospital: Hospital, chance: Chance) -> None:
    """Draw the site of each stay and visit: mostly the person's own, a newborn's its mother's."""
    organizations = hospital.sites.organizations
    names = [name for name, *_ in organizations]
    shares = [share for *_, share in organizations]
    own = chance.weighted(names, shares)
    contacts: list[Stay | Visit] = [*life.stays, *life.visits]
    for contact in contacts:
        elsewhere = chance.below(hospital.sites.elsewhere)
        contact.site = chance.weighted(names, shares) if elsewhere else own
    born_in = {stay.id: stay.site for stay in life.stays}
    for newborn in life.newborns:
        for stay in newborn.stays:
            stay.site = born_in[newborn.person.mother or ""]


def organizations(hospital: Hospital) -> list[Json]:
    """Return the Organization of each site."""
    return [
        {
            "resourceType": "Organization",
            "id": name,
            "active": True,
            "type": [hl7("organization-type", "prov")],
            "name": display,
        }
        for name, display, _ in hospital.sites.organizations
    ]


def coverage_records(
    person: Person, hospital: Hospital, clock: Clock, chance: Chance
) -> list[Json]:
    """Return who pays, and who from the 65th birthday on where that falls into the years."""
    payers = hospital.payers
    toss = chance.uniform()
    before = chance.weighted([p for p, _ in payers.before_65], [s for _, s in payers.before_65])
    after = chance.weighted([p for p, _ in payers.from_65], [s for _, s in payers.from_65])
    if toss < payers.unrecorded or person.kind == "newborn":
        return []
    born = person.birth
    turns = date(born.year + _RETIREMENT, born.month, min(born.day, 28))
    begins = date(_INSURED_SINCE, 1, 1)
    if turns <= begins:
        return _covered(person, 1, after, turns, None)
    if turns >= clock.day(clock.end):
        return _covered(person, 1, before, max(begins, born), None)
    return [
        *_covered(person, 1, before, begins, turns - timedelta(days=1)),
        *_covered(person, 2, after, turns, None),
    ]


def _covered(person: Person, number: int, payer: str, start: date, end: date | None) -> list[Json]:
    period = {"start": start.isoformat()}
    if end is not None:
        period["end"] = end.isoformat()
    payor: Json = {"display": payer}
    if payer == "none":
        payor = reference("Patient", person.id)
    return [
        {
            "resourceType": "Coverage",
            "id": f"{person.id}-c{number}",
            "status": "active",
            "type": COVERAGE_TYPES[payer],
            "beneficiary": reference("Patient", person.id),
            "period": period,
            "payor": [payor],
            "order": 1,
        }
    ]
