"""The list as FHIR, as the documentation shows it: a test holds it to what is sent."""

from typing import Any, Final

LIST: Final[dict[str, Any]] = {
    "resourceType": "List",
    "id": "work-list",
    "meta": {
        "security": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                "code": "AIAST",
                "display": "Artificial Intelligence asserted",
            }
        ]
    },
    "status": "current",
    "mode": "snapshot",
    "title": "Patients to follow up after discharge, by the risk that is left",
    "date": "2026-03-12T04:00:00Z",
    "orderedBy": {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/list-order",
                "code": "priority",
                "display": "Sorted by Priority",
            }
        ]
    },
    "entry": [
        {
            "flag": {"text": "high at discharge; contacted"},
            "date": "2026-03-12T04:00:00Z",
            "item": {
                "reference": "RiskAssessment/5d1f0c6b9e0a4c7f8b3a2d4e6f708192",
                "type": "RiskAssessment",
                "display": "Patient/example-patient",
            },
        }
    ],
}
"""Of one patient."""

GROUP: Final[dict[str, Any]] = {
    "resourceType": "Group",
    "id": "work-list",
    "meta": {
        "security": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                "code": "AIAST",
                "display": "Artificial Intelligence asserted",
            }
        ]
    },
    "active": True,
    "type": "person",
    "actual": True,
    "name": "Patients to follow up after discharge, by the risk that is left",
    "quantity": 1,
    "member": [{"entity": {"reference": "Patient/example-patient", "type": "Patient"}}],
}
"""Of one patient."""
