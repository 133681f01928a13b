"""The services that an EHR can discover, as data: hook, context, and the records each one needs.

Source: CDS Hooks 2.0, "Discovery" and "Prefetch Template"; hooks encounter-discharge 1.0 and
patient-view 1.1.
"""

from typing import Final, Literal, NamedTuple

import msgspec

Hook = Literal["encounter-discharge", "patient-view"]

PREFETCH: Final[dict[str, str]] = {
    "patient": "Patient/{{context.patientId}}",
    "encounters": "Encounter?patient={{context.patientId}}&_sort=-date&_count=100",
    "conditions": "Condition?patient={{context.patientId}}&_count=200",
    "laboratory": "Observation?patient={{context.patientId}}&category=laboratory"
    "&_sort=-date&_count=200",
    "vital_signs": "Observation?patient={{context.patientId}}&category=vital-signs"
    "&_sort=-date&_count=100",
    "medications": "MedicationRequest?patient={{context.patientId}}&_sort=-date&_count=200",
    "procedures": "Procedure?patient={{context.patientId}}&_sort=-date&_count=100",
    "consents": "Consent?patient={{context.patientId}}&status=active",
}
"""What both services read. An EHR may leave out what it does not have; see ``prefetch``.

The newest come first and are counted, so that a patient with twenty years of records does not send
all of them each time somebody opens the chart. Nothing is asked by date: the specification has no
word for today (3.0 will), and a fixed date would be wrong tomorrow.
"""

REQUIRED: Final = ("patient", "encounters")
"""Without these there is no stay to speak of, so that ``null`` is no answer for them."""


class ServiceDescription(msgspec.Struct, frozen=True, rename="camel"):
    """One service, as discovery tells of it."""

    hook: str
    title: str
    description: str
    id: str
    prefetch: dict[str, str]
    usage_requirements: str


class Discovered(msgspec.Struct, frozen=True):
    """What ``GET /cds-services`` answers."""

    services: tuple[ServiceDescription, ...]


class Service(NamedTuple):
    """One service, with what its hook's context must hold."""

    description: ServiceDescription
    users: tuple[str, ...]
    """The resource types that ``userId`` may name."""
    encounter_required: bool


_STAFF: Final = ("Practitioner", "PractitionerRole")

_REQUIREMENTS: Final = (
    "Works best with all prefetch keys. Where one is left out, the service fetches it with "
    "fhirAuthorization, or answers 412. Drugs that are named by reference are fetched, too."
)

SERVICES: Final[dict[str, Service]] = {
    "readmission-risk-at-discharge": Service(
        ServiceDescription(
            hook="encounter-discharge",
            title="Readmission risk at discharge",
            description="Shows the risk of an unplanned readmission within 30 days when a patient "
            "is about to be discharged, with reasons and what could be done.",
            id="readmission-risk-at-discharge",
            prefetch=PREFETCH,
            usage_requirements=_REQUIREMENTS,
        ),
        users=_STAFF,
        encounter_required=True,
    ),
    "readmission-risk": Service(
        ServiceDescription(
            hook="patient-view",
            title="Readmission risk",
            description="Shows the risk of an unplanned readmission after the latest hospital stay "
            "when a patient's chart is opened.",
            id="readmission-risk",
            prefetch=PREFETCH,
            usage_requirements=_REQUIREMENTS,
        ),
        users=(*_STAFF, "Patient", "RelatedPerson"),
        encounter_required=False,
    ),
}
"""Every service by its id."""


def discovered() -> Discovered:
    """All services, as an EHR discovers them."""
    return Discovered(tuple(service.description for service in SERVICES.values()))
