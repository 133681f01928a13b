"""Encounter: what kind of contact it was, when, how the patient came and where they went.

An encounter gives one event with its period, one for each facet that features ask about
(disposition, admission source, urgency, service), and one for the site that subgroup reports ask
about. Facets are told in our own terms, by concept tables and the site profile; what no table knows
is ``unknown``, with the record's code kept as text for the coverage report.
"""

from fhir_mappings.events import Event
from fhir_mappings.profiles import EncounterRule
from fhir_mappings.records.datatypes import CodeableConcept, NamedReference
from fhir_mappings.records.instants import Instant
from fhir_mappings.records.resources import Encounter
from fhir_mappings.sources.reading import DID_NOT_HAPPEN, Reading, event

_UNSTARTED = frozenset({"planned", "arrived", "triaged"})
_ELEMENTS = {
    "priority": "priority",
    "serviceType": "service_type",
    "location": "location",
    "partOf": "part_of",
    "period": "period",
    "hospitalization": "hospitalization",
}


def encounter(record: Encounter, reading: Reading) -> list[Event]:
    """The encounter's period and facets; nothing for one that was cancelled or only planned."""
    subject = reading.patient_of(record.subject)
    if subject is None or record.status in DID_NOT_HAPPEN or record.status in _UNSTARTED:
        return []
    start, end = reading.period(record.period, "Encounter.period")
    if record.status == "in-progress":
        end = None
    facts = _Facts(subject, record, reading)
    class_code = _class_code(record)
    kind = encounter_kind(record, reading)
    part_of = reading.id_of(record.part_of)
    facts.add(
        f"readmit/encounter|{kind}",
        start,
        end=end,
        text=part_of if class_code is None else f"{class_code} {part_of or ''}".rstrip(),
    )
    for code in _codes(record.type, reading):
        facts.add(code, start)
    for code in _codes(record.reason_code, reading):
        facts.add(code, start, text="reason")
    facts.facet("urgency", record.priority, start)
    facts.service(record.service_type, start)
    facts.site(record.service_provider, start)
    if record.hospitalization is not None:
        facts.facet("admission_source", record.hospitalization.admit_source, start)
        facts.facet("disposition", record.hospitalization.discharge_disposition, end)
    for diagnosis in record.diagnosis:
        condition = reading.id_of(diagnosis.condition)
        if condition is not None and diagnosis.rank == 1:
            facts.add("readmit/principal-diagnosis|", end or start, text=f"Condition/{condition}")
    return facts.events


def encounter_kind(record: Encounter, reading: Reading) -> str:
    """Inpatient, observation, emergency, outpatient, unit or other.

    The site profile's rules come first, the class code (v3 ActEncounterCode) second.
    """
    types: list[str] | None = None
    for rule in reading.profile.encounters:
        if rule.types and types is None:
            types = _codes(record.type, reading)
        if _fits(rule, record, types or []):
            return rule.kind
    if record.class_ is None or record.class_.code is None:
        return "other"
    code = reading.coder.spell(record.class_.system, record.class_.code)
    for name in reading.concepts.of(code):
        if name.startswith("encounter_kind."):
            return name.removeprefix("encounter_kind.")
    return "other"


def _class_code(record: Encounter) -> str | None:
    return record.class_.code if record.class_ is not None else None


def _fits(rule: EncounterRule, record: Encounter, types: list[str]) -> bool:
    return (
        (not rule.classes or _class_code(record) in rule.classes)
        and (not rule.types or any(code in rule.types for code in types))
        and all(getattr(record, _ELEMENTS[element]) for element in rule.has)
        and not any(getattr(record, _ELEMENTS[element]) for element in rule.lacks)
    )


def _codes(concepts: list[CodeableConcept], reading: Reading) -> list[str]:
    return [code for concept in concepts for code in reading.coder.codes(concept)]


class _Facts:
    """The events of one encounter as they are gathered."""

    def __init__(self, subject: str, record: Encounter, reading: Reading) -> None:
        self.events: list[Event] = []
        self._subject = subject
        self._id = record.id
        self._source = f"Encounter/{record.id}"
        self._updated = reading.updated(record.meta)
        self._reading = reading

    def add(
        self, code: str, when: Instant | None, end: Instant | None = None, text: str | None = None
    ) -> None:
        known = when._replace(last=when.at) if when is not None else None
        self.events.append(
            event(
                self._subject,
                self._source,
                "encounter",
                code,
                when,
                end=end,
                known=known,
                text=text,
                encounter=self._id,
                updated=self._updated,
            )
        )

    def facet(self, family: str, concept: CodeableConcept | None, when: Instant | None) -> None:
        if concept is None:
            return
        codes = self._reading.coder.codes(concept)
        if not codes:
            return
        value = self._reading.first_concept(concept, family) or "unknown"
        name = family.replace("_", "-")
        self.add(f"readmit/{name}|{value}", when, text=codes[0])

    def service(self, concept: CodeableConcept | None, when: Instant | None) -> None:
        codes = self._reading.coder.codes(concept)
        if codes:
            self.add(f"readmit/service|{codes[0]}", when)

    def site(self, provider: NamedReference | None, when: Instant | None) -> None:
        """The Organization, by the profile's name for it, its id, or its words."""
        if provider is None:
            return
        named = self._reading.id_of(provider) or provider.display
        if named:
            self.add(f"readmit/site|{self._reading.profile.site_name(named)}", when)
