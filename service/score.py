"""What a score is to its reader: a risk with its reasons, or a refusal with its reason."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fhir_mappings.clinical_scores import ClinicalScore


class ModelIdentity(msgspec.Struct, frozen=True):
    """Which risk model spoke."""

    name: str
    version: str
    run_id: Annotated[
        str | None, Meta(description="The MLflow run that trained it; null where unregistered.")
    ]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The risk beside the average of the stays that the model was trained on."""

    reference_risk: Annotated[
        float, Meta(description="Share of the model's reference stays that ended in readmission.")
    ]
    ratio: Annotated[float | None, Meta(description="probability / reference_risk")]
    phrase: str


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the model, what it did to this risk, and the records it rests on."""

    phrase: Annotated[str, Meta(description="The finding in a clinician's words.")]
    feature: Annotated[
        str,
        Meta(
            description="The model's name for this input. Inputs that are missing for one reason "
            "(no sodium at all) are one reason, under the name of the one that weighs most."
        ),
    ]
    value: Annotated[float | None, Meta(description="Null where the record has none.")]
    unit: Annotated[str | None, Meta(description="UCUM.")]
    date: Annotated[
        str | None, Meta(description="Local date of the newest record behind the value.")
    ]
    direction: Annotated[
        Literal["raises", "lowers"], Meta(description="What it does to this patient's risk.")
    ]
    contribution: Annotated[
        float, Meta(description="Its part of log_odds (TreeSHAP, after calibration).")
    ]
    changeable: Annotated[bool, Meta(description="Whether a care team can act on it.")]
    evidence: Annotated[
        tuple[str, ...], Meta(description="The newest resources behind the value, at most five.")
    ]
    evidence_count: Annotated[int, Meta(description="How many resources there are in all.")]


class MissingInput(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the model would use and that this record does not hold."""

    phrase: str
    features: Annotated[
        tuple[str, ...], Meta(description="The model's names for the inputs that it would give.")
    ]


class StaleInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input whose newest record is older than a clinician would go by."""

    feature: str
    phrase: str
    date: str
    days: Annotated[int, Meta(description="Whole days from the newest record to as_of.")]


class UnreadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the record that could not be read, and that the answer therefore leaves out."""

    element: str
    reason: str


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """Resources that the record refers to and that were not sent with it."""

    resource_type: Literal["Patient", "Encounter", "Medication"]
    consequence: Annotated[str, Meta(description="What cannot be known without them.")]


class WhyNotScored(msgspec.Struct, frozen=True):
    """Why a stay gets no risk."""

    code: Annotated[str, Meta(description="Stable, for machines.")]
    sentence: Annotated[str, Meta(description="For people.")]


KeptId = Annotated[
    str | UnsetType,
    Meta(description="Read it again by this id; absent where it is not kept by the service."),
]


class Scored(msgspec.Struct, frozen=True, kw_only=True, tag_field="status", tag="scored"):
    """The risk of an unplanned readmission after one stay, explained down to the record.

    baseline_log_odds, the contributions of the reasons and other_contributions add up to log_odds
    (within 1e-5: the trees count in single precision), whose logistic function is the probability.
    """

    status: ClassVar[Literal["scored"]] = "scored"

    score_id: KeptId = UNSET
    subject: Annotated[str, Meta(description="The Patient's id.")]
    encounter_id: Annotated[
        str, Meta(description="The Encounter that was asked for, or the last of the stay.")
    ]
    as_of: Annotated[str, Meta(description="Nothing recorded after this moment was used.")]
    probability: Annotated[
        float, Meta(description="Risk as a fraction: 0.25 is 25 %.", ge=0.0, le=1.0)
    ]
    band: Annotated[str, Meta(description="The risk band that the model's makers set.")]
    horizon_days: Annotated[int, Meta(description="Days after discharge that the risk covers.")]
    comparison: Comparison | None
    baseline_log_odds: Annotated[
        float, Meta(description="What the model would say of a stay that it knows nothing about.")
    ]
    log_odds: float
    reasons: Annotated[
        tuple[Reason, ...], Meta(description="The inputs that moved the risk most, first to last.")
    ]
    other_contributions: Annotated[
        float, Meta(description="The sum of the contributions of all inputs not named.")
    ]
    missing_inputs: tuple[MissingInput, ...]
    stale_inputs: tuple[StaleInput, ...]
    lace: ClinicalScore
    hospital: ClinicalScore
    model: ModelIdentity
    unread: tuple[UnreadRecord, ...] = ()
    not_sent: tuple[NotSent, ...] = ()


class NotScored(msgspec.Struct, frozen=True, kw_only=True, tag_field="status", tag="not_scored"):
    """A stay outside the population that the model is meant for: a reason, and no number at all.

    A number in such an answer would be shown by somebody.
    """

    status: ClassVar[Literal["not_scored"]] = "not_scored"

    score_id: KeptId = UNSET
    subject: Annotated[str, Meta(description="The Patient's id.")]
    encounter_id: Annotated[
        str, Meta(description="The Encounter that was asked for, or the last of the stay.")
    ]
    as_of: Annotated[str, Meta(description="Nothing recorded after this moment was used.")]
    reason: WhyNotScored
    model: ModelIdentity
    unread: tuple[UnreadRecord, ...] = ()
    not_sent: tuple[NotSent, ...] = ()


Score = Scored | NotScored
"""What scoring a stay gives; ``status`` tells which of the two."""


def encoded(score: Score) -> bytes:
    """A score as JSON. Not-a-number becomes null: JSON has no word for it."""
    return msgspec.json.encode(score)
