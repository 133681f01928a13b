"""What only people know of a model: ``model-card.toml``, written by those who answer for it.

What is left empty is listed on the card as missing. A name that is not declared here is refused: a
misspelt answer would be no answer.
"""

from pathlib import Path

import msgspec

from fhir_mappings.errors import StudyError


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of the file; every answer is text."""


class Developer(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who made the model."""

    name: str = ""
    contact: str = ""
    funding: str = ""
    conflicts: str = ""
    third_party: str = ""


class Use(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What it is for, who uses it, and how."""

    intended_use: str = ""
    intended_users: str = ""
    decision_role: str = ""
    how_to_use: str = ""
    cautioned: str = ""
    input_quality: str = ""
    user_expertise: str = ""


class Warnings(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may go wrong."""

    risks: str = ""
    ethical_considerations: str = ""
    clinical_risk_level: str = ""


class Development(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How and why it was made."""

    background: str = ""
    objectives: str = ""
    inequalities: str = ""
    setting: str = ""
    treatments: str = ""
    relevance: str = ""
    bias_reduction: str = ""
    ethical_approval: str = ""
    stakeholders: str = ""
    patient_involvement: str = ""


class ExternalValidation(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How it did where it was not made."""

    setting: str = ""
    party: str = ""
    demographics: str = ""
    process: str = ""
    validity: str = ""
    fairness: str = ""


class Maintenance(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens once it is in use."""

    validity_monitoring: str = ""
    local_validity: str = ""
    fairness_monitoring: str = ""
    local_fairness: str = ""
    updating: str = ""
    correction: str = ""


class Release(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The release that the card is of."""

    stage: str = ""
    date: str = ""
    availability: str = ""
    ehr: str = ""
    regulatory_approval: str = ""
    reimbursement: str = ""
    consent: str = ""


class Publication(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was written about it, and what is shared."""

    title: str = ""
    abstract: str = ""
    protocol: str = ""
    registration: str = ""
    data_sharing: str = ""
    code_sharing: str = ""
    publications: str = ""
    trial: str = ""
    outcome_evaluations: str = ""
    interpretation: str = ""
    next_steps: str = ""
    bibliography: str = ""


class ModelCardFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that people have to say."""

    developer: Developer = Developer()
    use: Use = Use()
    warnings: Warnings = Warnings()
    development: Development = Development()
    external_validation: ExternalValidation = ExternalValidation()
    maintenance: Maintenance = Maintenance()
    release: Release = Release()
    publication: Publication = Publication()

    def said(self, place: str) -> str:
        """What people wrote at ``part.name``; empty where they did not."""
        part, _, name = place.partition(".")
        return str(getattr(getattr(self, part), name)).strip()


def load_facts(path: Path) -> ModelCardFacts:
    """Read ``model-card.toml``.

    Raises:
        StudyError: if it is absent or malformed, or says something that the card does not ask.

    """
    try:
        content = path.read_bytes()
    except OSError:
        raise StudyError(f"{path}: there is no such file of facts for the model card") from None
    try:
        return msgspec.toml.decode(content, type=ModelCardFacts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path.name}: {error}") from None
