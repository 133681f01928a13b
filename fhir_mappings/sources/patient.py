"""Patient: birth, death, and who they are, for subgroup reports and never for scoring by itself."""

from fhir_mappings.events import Event
from fhir_mappings.records.datatypes import Extension
from fhir_mappings.records.instants import Instant
from fhir_mappings.records.resources import Patient
from fhir_mappings.sources.reading import Reading, event

_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


def patient(record: Patient, reading: Reading) -> list[Event]:
    """Birth, death, sex, race, ethnicity and language as events; demographics are known at birth.

    A death before birth is left out, and so is a future one only when it is absurd: what lies
    after ``as_of`` is never looked at.
    """
    source = f"Patient/{record.id}"
    updated = reading.updated(record.meta)
    birth = reading.instant(record.birth_date, "Patient.birthDate")
    since = birth._replace(last=birth.at) if birth is not None else None
    events = []

    def add(code: str, when: Instant | None, text: str | None = None) -> None:
        events.append(event(record.id, source, "patient", code, when, text=text, updated=updated))

    add("MEDS_BIRTH", since)
    death = reading.instant(record.deceased_date_time, "Patient.deceasedDateTime")
    if death is not None and birth is not None and death.last < birth.at:
        reading.questionable[("Patient.deceasedDateTime", "before birth")] += 1
        death = None
    if death is not None:
        add("MEDS_DEATH", death)
    if record.gender:
        add(f"readmit/sex|{record.gender}", since)
    for facet in ("race", "ethnicity"):
        for category in _us_core_categories(record.extension, facet):
            add(f"readmit/{facet}|{category}", since)
    for language in record.communication:
        codes = reading.coder.codes(language.language)
        if codes:
            preferred = "preferred" if language.preferred else None
            add(f"readmit/language|{codes[0].rpartition('|')[2]}", since, preferred)
    return events


def _us_core_categories(extensions: list[Extension], facet: str) -> list[str]:
    """The OMB category codes of a US Core race or ethnicity extension: of race, up to five."""
    return [
        part.value_coding.code
        for extension in extensions
        if extension.url == _US_CORE + facet
        for part in extension.extension
        if part.url == "ombCategory" and part.value_coding is not None and part.value_coding.code
    ]
