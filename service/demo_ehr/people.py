"""The fictitious people of the simulated hospital, and what its OpenID provider says of them."""

from typing import Any, Final, NamedTuple


class Person(NamedTuple):
    """Somebody who does not exist."""

    identifier: str
    """As ``sub``, and as the id of their Practitioner."""
    given: str
    family: str
    job: str
    group: str
    """The one claim that the service's operator maps to a role."""
    units: tuple[str, ...] = ()
    """Where they work, by the names that the site profile has for the Organizations."""

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.given} {self.family}"

    def claims(self) -> dict[str, Any]:
        """What the provider vouches for."""
        return {
            "sub": self.identifier,
            "name": self.name,
            "groups": [self.group],
            "units": list(self.units),
        }

    def practitioner(self) -> dict[str, Any]:
        """Their FHIR resource."""
        return {
            "resourceType": "Practitioner",
            "id": self.identifier,
            "active": True,
            "name": [{"family": self.family, "given": [self.given]}],
            "qualification": [{"code": {"text": f"{self.job} (simulated)"}}],
        }


PEOPLE: Final = (
    Person("demo-clinician", "Clara", "Mockward", "Clinician", "clinicians"),
    Person(
        "demo-care-manager",
        "Carl",
        "Mockfollow",
        "Care manager of two units",
        "care-managers",
        ("Central", "North"),
    ),
    Person("demo-data-scientist", "Dana", "Mockdata", "Data scientist", "data-scientists"),
    Person("demo-auditor", "Aldo", "Mockaudit", "Auditor", "auditors"),
    Person("demo-administrator", "Ada", "Mockadmin", "Administrator", "administrators"),
)

CLINICIAN: Final = PEOPLE[0]
"""Who works at the EHR's own pages."""

BY_ID: Final = {person.identifier: person for person in PEOPLE}

ROLES: Final = {
    "clinicians": "clinician",
    "care-managers": "care_manager",
    "data-scientists": "data_scientist",
    "auditors": "auditor",
    "administrators": "administrator",
}
"""Which group has which role in the service: for the file that the operator writes."""
