"""Records into events: the one table of which resource goes through which mapping, and Bundles.

``read_bundle`` is the online way in (an EHR's prefetch, ``POST /v1/score``); ``ingest`` is the
batch way in. Both use ``map_record``, so what one sees the other sees.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import msgspec

from fhir_mappings.errors import NotFHIRError, UnprocessableError
from fhir_mappings.events import Event
from fhir_mappings.formulary import REFERENCE, drug_codes
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.bundles import unbundle
from fhir_mappings.records.decoding import PassedOver, Rejected
from fhir_mappings.records.resources import (
    AboutAPatient,
    Condition,
    Consent,
    Coverage,
    Encounter,
    Medication,
    MedicationAdministration,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Patient,
    Procedure,
    patient_element,
)
from fhir_mappings.settling import settle
from fhir_mappings.sources.condition import condition
from fhir_mappings.sources.consent import consent
from fhir_mappings.sources.coverage import coverage
from fhir_mappings.sources.encounter import encounter
from fhir_mappings.sources.medication import (
    medication_administration,
    medication_codes,
    medication_request,
    medication_statement,
)
from fhir_mappings.sources.observation import observation
from fhir_mappings.sources.patient import patient
from fhir_mappings.sources.procedure import procedure
from fhir_mappings.sources.reading import Reading

MAPPINGS: dict[type[msgspec.Struct], Callable[[Any, Reading], list[Event]]] = {
    Patient: patient,
    Encounter: encounter,
    Condition: condition,
    Observation: observation,
    MedicationRequest: medication_request,
    MedicationAdministration: medication_administration,
    MedicationStatement: medication_statement,
    Procedure: procedure,
    Coverage: coverage,
    Consent: consent,
}
"""Which function turns which resource into events. Medication is a table, not an event."""


class Mapped(NamedTuple):
    """What one record became."""

    subject: str
    source: str
    updated: int
    events: list[Event]


class PatientRecords(NamedTuple):
    """What a Bundle says about its one patient, settled and in no particular order."""

    subject: str
    events: list[Event]
    resources: Counter[str]
    """How many resources of each type the Bundle holds."""
    rejected: list[Rejected]
    questionable: Counter[tuple[str, str]]
    not_sent: frozenset[str]
    """The types of resources that the Bundle refers to and does not hold: the Patient, Encounters
    that records belong to, Medications that orders name."""


def map_record(record: Patient | AboutAPatient, reading: Reading) -> Mapped | None:
    """The events of one record; None where it belongs to no patient.

    Raises:
        KeyError: for a Medication, which is not about a patient.

    """
    events = MAPPINGS[type(record)](record, reading)
    if events:
        first = events[0]
        return Mapped(first.subject, first.source, first.updated, events)
    if isinstance(record, Patient):
        subject: str | None = record.id
    else:
        subject = reading.patient_of(record.subject)
    if not subject:
        return None
    source = f"{type(record).__name__}/{record.id}"
    updated = reading.updated(record.meta)
    return Mapped(subject, source, updated, events)


def read_bundle(body: bytes, profile: SiteProfile) -> PatientRecords:
    """Read the records of one patient from a Bundle.

    Raises:
        NotFHIRError: if the bytes are not a Bundle.
        UnprocessableError: if it holds no patient's records, or those of several.

    """
    unbundled = unbundle(body)
    if isinstance(unbundled, Rejected):
        place = f"{unbundled.element}: " if unbundled.element else ""
        raise NotFHIRError(f"{place}{unbundled.reason}")
    reading = Reading(profile, unbundled.ids)
    resources: Counter[str] = Counter()
    rejected: list[Rejected] = []
    latest: dict[str, Mapped] = {}
    drugs: dict[str, tuple[int, tuple[str, ...]]] = {}
    for record in unbundled.records:
        if isinstance(record, Rejected):
            rejected.append(record)
            continue
        if isinstance(record, PassedOver):
            resources[record.resource_type] += 1
            continue
        resources[type(record).__name__] += 1
        if isinstance(record, Medication):
            updated = reading.updated(record.meta)
            if drugs.get(REFERENCE + record.id, (0, ()))[0] <= updated:
                drugs[REFERENCE + record.id] = updated, medication_codes(record, reading)
            continue
        if not record.id:
            # As in a batch: records without an id would take one another's place.
            rejected.append(Rejected(f"{type(record).__name__}.id", "missing"))
            continue
        mapped = map_record(record, reading)
        if mapped is None:
            name = type(record).__name__
            rejected.append(Rejected(f"{name}.{patient_element(name)}", "missing"))
        elif mapped.source not in latest or latest[mapped.source].updated <= mapped.updated:
            latest[mapped.source] = mapped
    events = [event for mapped in latest.values() for event in mapped.events]
    medications = {name: codes for name, (_, codes) in drugs.items()}
    events = list(dict.fromkeys(_with_drugs(events, medications)))
    subject = _the_one_subject({mapped.subject for mapped in latest.values()})
    not_sent = _not_sent(subject, events, latest.keys())
    return PatientRecords(
        subject, settle(events, profile), resources, rejected, reading.questionable, not_sent
    )


def _not_sent(subject: str, events: list[Event], held: Collection[str]) -> frozenset[str]:
    """What the events refer to and no record of the Bundle is.

    Without it a stay has no birth date, or an order no drug, and whoever asked would not know why.
    """
    encounters = {event.encounter for event in events if event.encounter is not None}
    lacking = {
        "Patient": f"Patient/{subject}" not in held,
        "Encounter": any(f"Encounter/{name}" not in held for name in encounters),
        "Medication": any(event.code.startswith(REFERENCE) for event in events),
    }
    return frozenset(name for name, lacks in lacking.items() if lacks)


def _with_drugs(events: list[Event], medications: dict[str, tuple[str, ...]]) -> list[Event]:
    """Every ``Medication/<id>`` replaced by the codes of that Medication, where it is known."""
    if not any(event.code.startswith(REFERENCE) for event in events):
        return events
    replaced: list[Event] = []
    for event in events:
        if event.code.startswith(REFERENCE):
            replaced += [event._replace(code=code) for code in drug_codes(event.code, medications)]
        else:
            replaced.append(event)
    return replaced


def _the_one_subject(subjects: set[str]) -> str:
    if not subjects:
        raise UnprocessableError("The Bundle holds no record of a patient.")
    if len(subjects) > 1:
        raise UnprocessableError(
            f"The Bundle holds records of {len(subjects)} patients; send one patient at a time."
        )
    return subjects.pop()
