"""MedicationRequest, MedicationAdministration, MedicationStatement, and the Medication they name.

A drug is named in place, by a contained Medication, or by a reference. A reference gives an event
coded ``Medication/<id>``, replaced by the Medication's own codes once all records have been read,
because the Medication may stand anywhere in the export.
"""

import msgspec

from fhir_mappings.events import DAY, Event, Kind
from fhir_mappings.formulary import REFERENCE
from fhir_mappings.records.datatypes import Quantity, Reference
from fhir_mappings.records.instants import Instant
from fhir_mappings.records.resources import (
    Medication,
    MedicationAdministration,
    MedicationRequest,
    MedicationStatement,
)
from fhir_mappings.sources.reading import DID_NOT_HAPPEN, Reading, event

_SUPPLY_DAYS = {"d": 1, "day": 1, "days": 1, "wk": 7, "week": 7, "weeks": 7, "mo": 30, "h": 1 / 24}
_NOT_AN_ORDER = frozenset({"proposal", "plan", "option"})
Medicated = MedicationRequest | MedicationAdministration | MedicationStatement


def medication_codes(record: Medication, reading: Reading) -> tuple[str, ...]:
    """The codes of a Medication: its own, its identifiers the site trusts, its ingredients."""
    codes = reading.coder.codes(record.code)
    trusted = reading.profile.medication_identifiers
    codes += [
        reading.coder.spell(identifier.system, identifier.value)
        for identifier in record.identifier
        if identifier.value and identifier.system in trusted
    ]
    for ingredient in record.ingredient:
        codes += reading.coder.codes(ingredient.item_codeable_concept)
        referenced = reading.id_of(ingredient.item_reference)
        if referenced is not None:
            codes.append(REFERENCE + referenced)
    return tuple(dict.fromkeys(codes))


def medication_request(record: MedicationRequest, reading: Reading) -> list[Event]:
    """An order, or a prescription to take home where its category says so."""
    if record.do_not_perform or record.intent in _NOT_AN_ORDER:
        return []
    when = reading.instant(record.authored_on, "MedicationRequest.authoredOn")
    end = None
    if record.dispense_request is not None:
        start, end = reading.period(
            record.dispense_request.validity_period, "MedicationRequest.dispenseRequest"
        )
        when = when or start
        supply = record.dispense_request.expected_supply_duration
        if end is None and when is not None and supply is not None:
            end = _after(when, supply)
    kind: Kind = "discharge-prescription" if _for_home(record, reading) else "medication-order"
    return _events(record, reading, kind, when, end, record.encounter)


def medication_administration(record: MedicationAdministration, reading: Reading) -> list[Event]:
    """A dose that was given."""
    when = reading.instant(record.effective_date_time, "MedicationAdministration.effective")
    end = None
    if when is None:
        when, end = reading.period(record.effective_period, "MedicationAdministration.effective")
    return _events(record, reading, "medication-administration", when, end, record.context)


def medication_statement(record: MedicationStatement, reading: Reading) -> list[Event]:
    """What the patient, or someone for them, says is taken; known when it was said."""
    when = reading.instant(record.effective_date_time, "MedicationStatement.effective")
    end = None
    if when is None:
        when, end = reading.period(record.effective_period, "MedicationStatement.effective")
    asserted = reading.instant(record.date_asserted, "MedicationStatement.dateAsserted")
    when = when or asserted
    return _events(
        record, reading, "medication-statement", when, end, record.context, known=asserted
    )


def _events(
    record: Medicated,
    reading: Reading,
    kind: Kind,
    when: Instant | None,
    end: Instant | None,
    encounter: Reference | None,
    known: Instant | None = None,
) -> list[Event]:
    subject = reading.patient_of(record.subject)
    if subject is None or record.status in DID_NOT_HAPPEN:
        return []
    return [
        event(
            subject,
            f"{type(record).__name__}/{record.id}",
            kind,
            code,
            when,
            end=end,
            known=known,
            encounter=reading.id_of(encounter),
            updated=reading.updated(record.meta),
            dated_by="record" if when is not None else "encounter-start",
        )
        for code in _drug(record, reading)
    ]


def _drug(record: Medicated, reading: Reading) -> list[str]:
    codes = reading.coder.codes(record.medication_codeable_concept)
    if codes or record.medication_reference is None:
        return codes
    reference = record.medication_reference.reference or ""
    if not reference.startswith("#"):
        referenced = reading.id_of(record.medication_reference)
        return [] if referenced is None else [REFERENCE + referenced]
    for each in record.contained:
        try:
            contained = msgspec.convert(each, Medication)
        except msgspec.ValidationError:
            continue  # a resource of another type, or none; what is asked for is then missing below
        if contained.id == reference[1:]:
            return list(medication_codes(contained, reading))
    reading.questionable[(f"{type(record).__name__}.medicationReference", "not contained")] += 1
    return []


def _for_home(record: MedicationRequest, reading: Reading) -> bool:
    categories = record.category if isinstance(record.category, list) else [record.category]
    return any(
        code.rpartition("|")[2] in ("discharge", "outpatient", "community")
        for category in categories
        for code in reading.coder.codes(category)
    )


def _after(when: Instant, supply: Quantity) -> Instant | None:
    days = _SUPPLY_DAYS.get(supply.code or supply.unit or "")
    if days is None or supply.value is None:
        return None
    at = when.at + int(supply.value * days * DAY)
    return when._replace(at=at, last=at)
