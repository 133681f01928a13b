"""The FHIR R4 resources that become events, cut down to what we read or what is common.

``Unread`` elements are listed so that most records are read and checked in one decoding; see
``datatypes``.
"""

from typing import Any

import msgspec

from fhir_mappings.records.datatypes import (
    CodeableConcept,
    Coding,
    Element,
    Extension,
    Identifier,
    Meta,
    NamedReference,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
    Unread,
)


class Resource(
    msgspec.Struct,
    gc=False,
    rename="camel",
    omit_defaults=True,
    tag_field="resourceType",
    tag=str,
):
    """What every resource has. An empty ``id`` is filled from the Bundle entry's ``fullUrl``."""

    id: str = ""
    meta: Meta | None = None
    identifier: Unread = None
    text: Unread = None
    extension: Unread = None


class Patient(Resource):
    """https://hl7.org/fhir/R4/patient.html."""

    class Communication(Element):
        """A language that the patient speaks."""

        language: CodeableConcept | None = None
        preferred: bool | None = None

    birth_date: str | None = None
    gender: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    extension: list[Extension] = []
    communication: list[Communication] = []
    active: Unread = None
    name: Unread = None
    telecom: Unread = None
    address: Unread = None
    contact: Unread = None
    marital_status: Unread = None
    multiple_birth_boolean: Unread = None
    multiple_birth_integer: Unread = None
    managing_organization: Unread = None
    general_practitioner: Unread = None


class Encounter(Resource):
    """https://hl7.org/fhir/R4/encounter.html."""

    class Hospitalization(Element):
        """How the patient came and where they went."""

        admit_source: CodeableConcept | None = None
        discharge_disposition: CodeableConcept | None = None

    class Diagnosis(Element):
        """A diagnosis of this encounter, with its rank."""

        condition: Reference | None = None
        rank: int | None = None
        use: Unread = None

    status: str | None = None
    class_: Coding | None = msgspec.field(default=None, name="class")
    type: list[CodeableConcept] = []
    service_type: CodeableConcept | None = None
    priority: CodeableConcept | None = None
    subject: Reference | None = None
    period: Period | None = None
    reason_code: list[CodeableConcept] = []
    diagnosis: list[Diagnosis] = []
    hospitalization: Hospitalization | None = None
    location: list[dict[str, Any]] = []
    part_of: Reference | None = None
    length: Unread = None
    participant: Unread = None
    reason_reference: Unread = None
    status_history: Unread = None
    class_history: Unread = None
    service_provider: NamedReference | None = None


class Condition(Resource):
    """https://hl7.org/fhir/R4/condition.html."""

    verification_status: CodeableConcept | None = None
    category: list[CodeableConcept] = []
    code: CodeableConcept | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    onset_date_time: str | None = None
    onset_period: Period | None = None
    abatement_date_time: str | None = None
    recorded_date: str | None = None
    clinical_status: Unread = None
    severity: Unread = None
    body_site: Unread = None
    recorder: Unread = None
    asserter: Unread = None
    evidence: Unread = None
    stage: Unread = None
    note: Unread = None


class Measured(msgspec.Struct, gc=False, rename="camel", omit_defaults=True, kw_only=True):
    """``value[x]`` of an Observation or of one of its components."""

    value_quantity: Quantity | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_range: Range | None = None
    value_ratio: Ratio | None = None
    value_date_time: str | None = None
    value_period: Period | None = None
    value_time: str | None = None
    value_sampled_data: dict[str, Any] | None = None
    data_absent_reason: CodeableConcept | None = None
    code: CodeableConcept | None = None
    extension: Unread = None
    interpretation: Unread = None
    reference_range: Unread = None


class Observation(Measured, kw_only=True, tag_field="resourceType", tag="Observation"):
    """https://hl7.org/fhir/R4/observation.html."""

    class Component(Measured):
        """A part with a code and a value of its own: systolic pressure, say."""

    id: str = ""
    meta: Meta | None = None
    status: str | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: Period | None = None
    issued: str | None = None
    component: list[Component] = []
    identifier: Unread = None
    text: Unread = None
    category: Unread = None
    performer: Unread = None
    based_on: Unread = None
    part_of: Unread = None
    method: Unread = None
    body_site: Unread = None
    specimen: Unread = None
    device: Unread = None
    focus: Unread = None
    note: Unread = None
    has_member: Unread = None
    derived_from: Unread = None


class Medication(Resource):
    """https://hl7.org/fhir/R4/medication.html."""

    class Ingredient(Element):
        """What a mixture is made of."""

        item_codeable_concept: CodeableConcept | None = None
        item_reference: Reference | None = None

    code: CodeableConcept | None = None
    identifier: list[Identifier] = []
    ingredient: list[Ingredient] = []
    status: Unread = None
    form: Unread = None


class Medicated(Resource):
    """The drug, as the three medication resources name it."""

    status: str | None = None
    category: list[CodeableConcept] | CodeableConcept | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    contained: list[Any] = []
    subject: Reference | None = None
    reason_code: Unread = None
    reason_reference: Unread = None
    note: Unread = None


class MedicationRequest(Medicated):
    """https://hl7.org/fhir/R4/medicationrequest.html."""

    class DispenseRequest(Element):
        """For how long the prescription is meant to last."""

        validity_period: Period | None = None
        expected_supply_duration: Quantity | None = None
        number_of_repeats_allowed: Unread = None
        quantity: Unread = None

    intent: str | None = None
    do_not_perform: bool | None = None
    encounter: Reference | None = None
    authored_on: str | None = None
    dispense_request: DispenseRequest | None = None
    requester: Unread = None
    recorder: Unread = None
    performer: Unread = None
    priority: Unread = None
    based_on: Unread = None
    reported_boolean: Unread = None
    course_of_therapy_type: Unread = None
    dosage_instruction: Unread = None
    substitution: Unread = None


class MedicationAdministration(Medicated):
    """https://hl7.org/fhir/R4/medicationadministration.html."""

    context: Reference | None = None
    effective_date_time: str | None = None
    effective_period: Period | None = None
    part_of: Unread = None
    performer: Unread = None
    device: Unread = None
    request: Unread = None
    dosage: Unread = None


class MedicationStatement(Medicated):
    """https://hl7.org/fhir/R4/medicationstatement.html."""

    context: Reference | None = None
    effective_date_time: str | None = None
    effective_period: Period | None = None
    date_asserted: str | None = None
    based_on: Unread = None
    part_of: Unread = None
    derived_from: Unread = None
    information_source: Unread = None
    dosage: Unread = None


class Procedure(Resource):
    """https://hl7.org/fhir/R4/procedure.html."""

    status: str | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    performed_date_time: str | None = None
    performed_period: Period | None = None
    category: Unread = None
    performer: Unread = None
    recorder: Unread = None
    location: Unread = None
    reason_code: Unread = None
    reason_reference: Unread = None
    body_site: Unread = None
    outcome: Unread = None
    report: Unread = None
    note: Unread = None
    used_code: Unread = None


class Coverage(Resource):
    """https://hl7.org/fhir/R4/coverage.html."""

    status: str | None = None
    type: CodeableConcept | None = None
    subject: Reference | None = msgspec.field(default=None, name="beneficiary")
    """The patient, whom this resource calls ``beneficiary``."""
    period: Period | None = None
    payor: list[NamedReference] = []
    order: int | None = None


class Provision(Element):
    """A rule of a Consent; those within it are its exceptions."""

    type: str | None = None
    period: Period | None = None
    purpose: list[Coding] = msgspec.field(default_factory=list)
    provision: list["Provision"] = msgspec.field(default_factory=list)
    actor: Unread = None
    action: Unread = None
    security_label: Unread = None
    class_: Unread = msgspec.field(default=None, name="class")
    code: Unread = None
    data_period: Unread = None
    data: Unread = None


class Consent(Resource):
    """https://hl7.org/fhir/R4/consent.html."""

    status: str | None = None
    scope: CodeableConcept | None = None
    subject: Reference | None = msgspec.field(default=None, name="patient")
    """The patient, whom this resource calls so."""
    date_time: str | None = None
    policy_rule: CodeableConcept | None = None
    provision: Provision | None = None
    category: Unread = None
    performer: Unread = None
    organization: Unread = None
    source_attachment: Unread = None
    source_reference: Unread = None
    policy: Unread = None
    verification: Unread = None


AboutAPatient = (
    Encounter
    | Condition
    | Observation
    | MedicationRequest
    | MedicationAdministration
    | MedicationStatement
    | Procedure
    | Coverage
    | Consent
)
"""The records that name their patient."""


def patient_element(resource_type: str) -> str:
    """The element that names the patient, as FHIR calls it."""
    return {"Coverage": "beneficiary", "Consent": "patient"}.get(resource_type, "subject")


Record = Patient | Medication | AboutAPatient
"""Everything that is decoded."""

RESOURCES: dict[str, type[Record]] = {
    record.__name__: record
    for record in (
        Patient,
        Encounter,
        Condition,
        Observation,
        Medication,
        MedicationRequest,
        MedicationAdministration,
        MedicationStatement,
        Procedure,
        Coverage,
        Consent,
    )
}
"""Every resource type that becomes events, by its FHIR name; others are counted and passed over."""
