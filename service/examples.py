"""Fictitious examples for the API's documentation. No such patient exists."""

from http import HTTPStatus
from typing import Any, Final

from fhir_mappings.clinical_scores import ClinicalScore, ScoreItem
from service.problems import Problem
from service.score import (
    Comparison,
    MissingInput,
    ModelIdentity,
    NotScored,
    Reason,
    Scored,
    StaleInput,
    WhyNotScored,
)
from service.score_list import PatientScores, ScoreSummary

_SUBJECT: Final = "example-patient"
_STAY: Final = "example-stay"
_PATIENT: Final = {"reference": f"Patient/{_SUBJECT}"}
_ENCOUNTER: Final = {"reference": f"Encounter/{_STAY}"}


def _observation(name: str, loinc: str, value: float, unit: str, at: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "subject": _PATIENT,
        "encounter": _ENCOUNTER,
        "effectiveDateTime": at,
        "issued": at,
        "valueQuantity": {
            "value": value,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


def _encounter(name: str, admitted: str, discharged: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": name,
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "IMP",
        },
        "priority": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority", "code": "EM"}
            ]
        },
        "subject": _PATIENT,
        "period": {"start": admitted, "end": discharged},
        "hospitalization": {
            "dischargeDisposition": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
                        "code": "home",
                    }
                ]
            }
        },
    }


_RESOURCES: Final[tuple[dict[str, Any], ...]] = (
    {
        "resourceType": "Patient",
        "id": _SUBJECT,
        "name": [{"family": "Example", "given": ["Fictitious"]}],
        "gender": "female",
        "birthDate": "1948-05-17",
    },
    _encounter("example-earlier-stay", "2025-12-01T16:00:00Z", "2025-12-06T10:00:00Z"),
    _encounter(_STAY, "2026-03-02T09:15:00Z", "2026-03-09T11:30:00Z"),
    {
        "resourceType": "Condition",
        "id": "example-heart-failure",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                        "code": "encounter-diagnosis",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {
                    "system": "http://hl7.org/fhir/sid/icd-10-cm",
                    "code": "I50.9",
                    "display": "Heart failure, unspecified",
                }
            ]
        },
        "subject": _PATIENT,
        "encounter": _ENCOUNTER,
        "recordedDate": "2026-03-03T08:00:00Z",
    },
    _observation("example-sodium", "2951-2", 131, "mmol/L", "2026-03-09T06:10:00Z"),
    _observation("example-haemoglobin", "718-7", 10.4, "g/dL", "2026-03-09T06:10:00Z"),
)

BUNDLE: Final[dict[str, Any]] = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [{"resource": resource} for resource in _RESOURCES],
}
"""The least that makes sense: a patient, two stays, a diagnosis, two results."""

IDENTITY: Final = ModelIdentity(name="readmit", version="3", run_id="0123456789abcdef")

SCORE_ID: Final = "5d1f0c6b9e0a4c7f8b3a2d4e6f708192"
"""Of a score that was kept."""

SCORED: Final = Scored(
    score_id=SCORE_ID,
    subject=_SUBJECT,
    encounter_id=_STAY,
    as_of="2026-03-09T11:30:00+00:00",
    probability=0.3751935255,
    band="high",
    horizon_days=30,
    comparison=Comparison(
        reference_risk=0.125,
        ratio=3.0015482043,
        phrase="3 times the average of the stays that the model learned from (12.5 %)",
    ),
    baseline_log_odds=-1.95,
    log_odds=-0.51,
    reasons=(
        Reason(
            phrase="1 hospital stay in the year before",
            feature="inpatient_stays_year_before",
            value=1.0,
            unit=None,
            date="2025-12-01",
            direction="raises",
            contribution=0.84,
            changeable=False,
            evidence=("Encounter/example-earlier-stay",),
            evidence_count=1,
        ),
        Reason(
            phrase="sodium 131 mmol/L on 2026-03-09",
            feature="sodium_latest",
            value=131.0,
            unit="mmol/L",
            date="2026-03-09",
            direction="raises",
            contribution=0.41,
            changeable=True,
            evidence=("Observation/example-sodium",),
            evidence_count=1,
        ),
        Reason(
            phrase="home without arranged care",
            feature="disposition_home",
            value=1.0,
            unit=None,
            date="2026-03-02",
            direction="lowers",
            contribution=-0.11,
            changeable=False,
            evidence=("Encounter/example-stay",),
            evidence_count=1,
        ),
    ),
    other_contributions=0.3,
    missing_inputs=(
        MissingInput(phrase="albumin not measured in this stay", features=("albumin_latest",)),
    ),
    stale_inputs=(
        StaleInput(
            feature="hba1c_latest",
            phrase="HbA1c 7.4 % on 2024-11-20",
            date="2024-11-20",
            days=474,
        ),
    ),
    lace=ClinicalScore(
        name="LACE",
        version="2010",
        points=10,
        maximum=19,
        band="high",
        items=(
            ScoreItem("L", "Length of stay", "7 days", 5, ("Encounter/example-stay",)),
            ScoreItem("A", "Acute admission", "urgent", 3, ("Encounter/example-stay",)),
            ScoreItem(
                "C",
                "Comorbidity",
                "congestive heart failure",
                2,
                ("Condition/example-heart-failure",),
            ),
            ScoreItem("E", "Emergency visits in the six months before", "0 visits", 0),
        ),
        reference="doi:10.1503/cmaj.091117",
    ),
    hospital=ClinicalScore(
        name="HOSPITAL",
        version="2016",
        points=5,
        maximum=13,
        band="intermediate",
        items=(
            ScoreItem(
                "H",
                "Haemoglobin at discharge",
                "10.4 g/dL",
                1,
                ("Observation/example-haemoglobin",),
            ),
            ScoreItem("O", "Oncology discharge", "service not recorded", 0, missing=True),
            ScoreItem("S", "Sodium at discharge", "131 mmol/L", 1, ("Observation/example-sodium",)),
            ScoreItem("P", "Procedure during the stay", "0 procedures", 0),
            ScoreItem("I", "Index admission urgent", "urgent", 1, ("Encounter/example-stay",)),
            ScoreItem(
                "A",
                "Admissions in the year before",
                "1 admission",
                0,
                ("Encounter/example-earlier-stay",),
            ),
            ScoreItem("L", "Length of stay", "7 days", 2, ("Encounter/example-stay",)),
        ),
        reference="doi:10.1001/jamainternmed.2015.8462",
    ),
    model=IDENTITY,
)
"""A full answer. Its numbers are made up; they add up as real ones do."""

NOT_SCORED: Final = NotScored(
    score_id="c09e7a51f3d84b62a1e5907b4c3d2f16",
    subject=_SUBJECT,
    encounter_id=_STAY,
    as_of="2026-03-09T11:30:00+00:00",
    reason=WhyNotScored(
        code="against_advice",
        sentence="The patient left against medical advice.",
    ),
    model=IDENTITY,
)

SCORES: Final = PatientScores(
    patient=_SUBJECT,
    scores=(
        ScoreSummary(
            score_id=SCORE_ID,
            encounter_id=_STAY,
            made_at="2026-03-09T11:31:07+00:00",
            status="scored",
            probability=0.3751935255,
            band="high",
            unit="Cardiology",
            model=IDENTITY,
        ),
    ),
    next=None,
)
"""The scores of one patient."""

ANSWERS: Final = {"scored": SCORED, "not_scored": NOT_SCORED}
"""The two answers of ``POST /v1/score``, by their names in the documentation."""

_PROBLEMS: Final = {
    400: ("not-fhir", "Not a FHIR R4 resource", "Bundle: not JSON"),
    401: ("unauthenticated", "Not identified", "Send a valid access token, or sign in."),
    403: ("forbidden", "Not allowed", "This needs the scope RiskAssessment.c."),
    404: ("score-not-found", "No such score", "There is no such score, or it is not for you."),
    406: ("format", "Not in this format", "_format: FHIR is answered as JSON alone"),
    408: (
        "slow-body",
        "The request took too long to arrive",
        "The body did not arrive within 30 seconds.",
    ),
    412: (
        "lacking-data",
        "Records are lacking",
        "prefetch: encounters lacking, and no fhirServer to fetch from",
    ),
    413: (
        "body-too-large",
        "The request is too large",
        "The body exceeds the limit of 20,000,000 bytes.",
    ),
    415: (
        "content-type",
        "The request is not sent in a format that is read here",
        "Content-Type must be application/fhir+json or application/json.",
    ),
    422: (
        "unprocessable",
        "The records do not fit the request",
        "encounter_id: no inpatient stay in these records holds it",
    ),
    503: ("risk-model", "Risk model", "no champion is registered"),
}


def problem(status: int) -> Problem:
    """An example of the problem that a status comes with."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem(
            type="urn:readmit:problem:unexpected",
            title="Unexpected error",
            status=status,
            detail="The service failed on this request. The log says where, under the incident id.",
            incident="0123456789abcdef",
        )
    if status not in _PROBLEMS:
        phrase = HTTPStatus(status).phrase
        return Problem(type="about:blank", title=phrase, status=status, detail=phrase)
    kind, title, detail = _PROBLEMS[status]
    return Problem(type=f"urn:readmit:problem:{kind}", title=title, status=status, detail=detail)
