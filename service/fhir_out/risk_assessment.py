"""A score as FHIR: RiskAssessment, the Device that made it, Provenance, and a Flag for the chart.

R4's ``probabilityDecimal`` may be read as a fraction or as per cent, and its invariant (ras-2)
cannot tell the two apart. Ours is a **fraction**: 0.25 is 25 %, as in HL7's own examples.

Sources: FHIR R4 RiskAssessment, Flag, Provenance; HL7 AI Transparency on FHIR 1.0.0-ballot (the
security label ``AIAST`` on what an AI asserted, and a Provenance with the model card as entity).
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fhir.resources.R4B.device import Device
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment

from service.score import ModelIdentity, Reason, Score, Scored
from service.views import View

AIAST: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
PSEUDED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PSEUDED",
    "display": "pseudonymized",
}
PSEUDONYM: Final = "urn:readmit:pseudonym"
"""The system of the names by which a view without identity speaks of patients and encounters."""
OUTCOME: Final = {"text": "Unplanned inpatient admission"}
RISK_BANDS: Final = "http://terminology.hl7.org/CodeSystem/risk-probability"
"""R4's example value set of ``qualitativeRisk``: low, moderate and high are among its codes."""
PURPOSE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def device_id(model: ModelIdentity) -> str:
    """The id of the Device that stands for one version of a model."""
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-.") else "-"
        for letter in f"{model.name}-{model.version}"
    )
    return kept[:64]


def device(model: ModelIdentity) -> Device:
    """The model as the Device that performs an assessment."""
    return Device.model_validate(
        {
            "resourceType": "Device",
            "id": device_id(model),
            "status": "active",
            "deviceName": [{"name": model.name, "type": "model-name"}],
            "version": [{"value": model.version}],
            "type": {"text": "Risk model for unplanned readmission"},
        }
    )


def risk_assessment(
    score: Scored,
    score_id: str,
    made_at: datetime | None = None,
    view: View = View.WHOLE,
) -> RiskAssessment:
    """A score as RiskAssessment; ``basis`` is the evidence, ``whenPeriod`` the days it covers.

    Args:
        score: the score, as it is seen.
        score_id: its id, which is the assessment's.
        made_at: when it was given, with a timezone; by default, the moment it is as of.
        view: how it is seen. Without identity, patient and encounter are pseudonyms, no reference
            leads to them, and of every moment the year is left.
    """
    whole = view is View.WHOLE
    meta: dict[str, Any] = {"security": [AIAST] if whole else [AIAST, PSEUDED]}
    occurrence = score.as_of
    if made_at is not None:
        moment = made_at.astimezone(UTC)
        occurrence = moment.isoformat(timespec="seconds") if whole else f"{moment.year:04}"
        if whole:
            meta["lastUpdated"] = moment.isoformat(timespec="milliseconds")
    return RiskAssessment.model_validate(
        {
            "resourceType": "RiskAssessment",
            "id": score_id,
            "meta": meta,
            "status": "final",
            "method": {"text": f"{score.model.name}, version {score.model.version}"},
            "code": {"text": f"Risk of unplanned readmission within {score.horizon_days} days"},
            "subject": _whom("Patient", score.subject, view),
            "encounter": _whom("Encounter", score.encounter_id, view),
            "occurrenceDateTime": occurrence,
            "performer": {
                "reference": f"Device/{device_id(score.model)}",
                "display": f"{score.model.name}, version {score.model.version}",
            },
            **_basis(score),
            "prediction": [_prediction(score, view)],
        }
    )


def _whom(kind: str, name: str, view: View) -> dict[str, Any]:
    if view is View.WHOLE:
        return {"reference": f"{kind}/{name}"}
    return {"type": kind, "identifier": {"system": PSEUDONYM, "value": name}}


def _begin(score: Scored) -> datetime:
    return datetime.fromisoformat(score.as_of)


def _basis(score: Scored) -> dict[str, Any]:
    """Every record behind a reason, once; FHIR knows no empty list."""
    records = dict.fromkeys(source for reason in score.reasons for source in reason.evidence)
    return {"basis": [{"reference": source} for source in records]} if records else {}


def _prediction(score: Scored, view: View) -> dict[str, Any]:
    prediction: dict[str, Any] = {
        "outcome": OUTCOME,
        "probabilityDecimal": round(score.probability, 6),
        "qualitativeRisk": {
            "coding": [{"system": RISK_BANDS, "code": score.band}],
            "text": score.band,
        },
        # Of a year there is no 30th day after it.
        "whenPeriod": _period(score) if view is View.WHOLE else {"start": score.as_of},
        "rationale": _rationale(score.reasons),
    }
    if score.comparison is not None and score.comparison.ratio is not None:
        prediction["relativeRisk"] = round(score.comparison.ratio, 4)
    return {name: value for name, value in prediction.items() if value != ""}


def _period(score: Scored) -> dict[str, str]:
    """The days that the risk covers."""
    begin = _begin(score)
    return {
        "start": begin.isoformat(timespec="seconds"),
        "end": (begin + timedelta(days=score.horizon_days)).isoformat(timespec="seconds"),
    }


def _rationale(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(f"{reason.phrase} ({reason.direction} the risk)" for reason in reasons)


def provenance(score: Scored, score_id: str, model_card: str, recorded: datetime) -> Provenance:
    """How an assessment came about: our Device, by the model card, from the evidence.

    Args:
        score: the score.
        score_id: its id, which is the assessment's.
        model_card: URL of the model card.
        recorded: when the score was made, with a timezone.
    """
    used = [{"role": "source", "what": one} for one in _basis(score).get("basis", [])]
    card = {"role": "instantiates", "what": {"reference": "#model-card", "display": "Model card"}}
    document = {
        "resourceType": "DocumentReference",
        "id": "model-card",
        "status": "current",
        "type": {"text": "Model card"},
        "description": f"{score.model.name}, version {score.model.version}",
        "content": [{"attachment": {"contentType": "application/json", "url": model_card}}],
    }
    who = {"reference": f"Device/{device_id(score.model)}"}
    agent_type = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return Provenance.model_validate(
        {
            "resourceType": "Provenance",
            "contained": [document],
            "target": [{"reference": f"RiskAssessment/{score_id}"}],
            "recorded": recorded.astimezone(UTC).isoformat(timespec="seconds"),
            "reason": [{"coding": [AIAST]}],
            "agent": [{"type": {"coding": [{"system": agent_type, "code": "author"}]}, "who": who}],
            "entity": [card, *used],
        }
    )


def flag(score: Scored, score_id: str) -> Flag | None:
    """A banner for the chart of a patient at high risk, for as long as the risk is about."""
    return flag_of(score, score_id) if score.band == "high" else None


def flag_of(score: Score, score_id: str) -> Flag:
    """The banner of a stay, whatever its risk: whoever writes it says whether it stands."""
    category = "http://terminology.hl7.org/CodeSystem/flag-category"
    within = f" within {score.horizon_days} days" if isinstance(score, Scored) else ""
    period = {"period": _period(score)} if isinstance(score, Scored) else {}
    return Flag.model_validate(
        {
            "resourceType": "Flag",
            "id": score_id,
            "meta": {"security": [AIAST]},
            "status": "active",
            "category": [{"coding": [{"system": category, "code": "clinical"}]}],
            "code": {"text": f"High risk of unplanned readmission{within}"},
            "subject": {"reference": f"Patient/{score.subject}"},
            "encounter": {"reference": f"Encounter/{score.encounter_id}"},
            **period,
            "author": {"reference": f"Device/{device_id(score.model)}"},
        }
    )
