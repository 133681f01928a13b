"""What the FHIR side of the service can do, as it says itself: made from the routes that there are.

Sources: FHIR R4 CapabilityStatement, OperationDefinition; SMART App Launch, the extension
``oauth-uris``.
"""

import json
from collections.abc import Collection
from typing import Any, Final

from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationdefinition import OperationDefinition

from service import VERSION
from service.fhir_out.parameters import AS_OF, ENCOUNTER, RECORD
from service.fhir_out.search import SEARCH_PARAMETERS
from service.identity.backend_services import TOKEN_PATH

CHANGED: Final = "2026-11-24"
"""When what is said here was last changed; R4 wants a date of it."""

OPERATION: Final = "readmission-risk"

INTERACTIONS: Final[dict[str, tuple[str, str]]] = {
    "GET /fhir/RiskAssessment/{score_id}": ("RiskAssessment", "read"),
    "GET /fhir/RiskAssessment": ("RiskAssessment", "search-type"),
    "POST /fhir/RiskAssessment/_search": ("RiskAssessment", "search-type"),
    "GET /fhir/List/work-list": ("List", "read"),
    "GET /fhir/Group/work-list": ("Group", "read"),
    "GET /fhir/Task/{stay}": ("Task", "read"),
    "PUT /fhir/Task/{stay}": ("Task", "update"),
    f"GET /fhir/OperationDefinition/{OPERATION}": ("OperationDefinition", "read"),
}
"""Which route is which interaction with which type of resource."""

OPERATIONS: Final = {f"POST /fhir/${OPERATION}": OPERATION}
"""Which route is which operation."""

_SMART: Final = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


def capability_statement(routes: Collection[str], own_url: str) -> dict[str, Any]:
    """What can be asked below ``/fhir``.

    Args:
        routes: method and template of the routes that there are.
        own_url: the URL that callers know the service by.
    """
    # Of two routes for one interaction, as of the search, the interaction is claimed once.
    served = dict.fromkeys(claim for route, claim in INTERACTIONS.items() if route in routes)
    base = f"{own_url}/fhir"
    made = CapabilityStatement.model_validate(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": CHANGED,
            "kind": "instance",
            "software": {"name": "readmit", "version": VERSION},
            "implementation": {
                "description": "The risk of unplanned readmission, explained",
                "url": base,
            },
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "rest": [
                {
                    "mode": "server",
                    "security": _security(own_url),
                    "resource": [
                        _resource(kind, [code for other, code in served if other == kind])
                        for kind in dict.fromkeys(kind for kind, _ in served)
                    ],
                    "operation": [
                        {"name": name, "definition": f"{base}/OperationDefinition/{name}"}
                        for route, name in OPERATIONS.items()
                        if route in routes
                    ],
                }
            ],
        }
    )
    content: dict[str, Any] = json.loads(made.model_dump_json())
    return content


def _security(own_url: str) -> dict[str, Any]:
    token = {"url": "token", "valueUri": own_url + TOKEN_PATH}
    return {
        "service": [{"coding": [{"system": _SMART, "code": "SMART-on-FHIR"}]}],
        "extension": [{"url": _OAUTH_URIS, "extension": [token]}],
    }


def _resource(kind: str, codes: list[str]) -> dict[str, Any]:
    searched: dict[str, Any] = {
        "searchParam": [
            {"name": one.name, "type": one.type, "documentation": one.documentation}
            for one in SEARCH_PARAMETERS
            if one.type is not None
        ]
    }
    return {
        "type": kind,
        "interaction": [{"code": code} for code in codes],
        "versioning": "no-version",
        **(searched if "search-type" in codes else {}),
    }


def operation_definition(own_url: str) -> dict[str, Any]:
    """How ``$readmission-risk`` is asked, and what it returns."""
    made = OperationDefinition.model_validate(
        {
            "resourceType": "OperationDefinition",
            "id": OPERATION,
            "url": f"{own_url}/fhir/OperationDefinition/{OPERATION}",
            "name": "ReadmissionRisk",
            "title": "Risk of unplanned readmission",
            "status": "active",
            "kind": "operation",
            "date": CHANGED,
            "description": "The risk of an unplanned readmission after one hospital stay, from "
            "the patient's records. The probability is a fraction: 0.25 is 25 %.",
            # Each answer is kept, and can be read again.
            "affectsState": True,
            "code": OPERATION,
            "system": True,
            "type": False,
            "instance": False,
            "parameter": [
                _parameter(
                    *(RECORD, "in", 1, "*", "Resource"),
                    "The records of one patient: one Bundle, or single resources.",
                ),
                _parameter(
                    *(ENCOUNTER, "in", 0, "1", "id"),
                    "An Encounter of the stay; without it, the latest inpatient stay.",
                ),
                _parameter(
                    *(AS_OF, "in", 0, "1", "dateTime"),
                    "As the record stood at this moment, with its offset; without it, the end of "
                    "the stay where it has ended, else now.",
                ),
                _parameter(
                    *("return", "out", 1, "1", "Bundle"),
                    "RiskAssessment, Device, Provenance, and a Flag where the risk is high; or an "
                    "OperationOutcome with the reason why the stay has no risk.",
                ),
            ],
        }
    )
    content: dict[str, Any] = json.loads(made.model_dump_json())
    return content


def _parameter(
    name: str, use: str, least: int, most: str, kind: str, documentation: str
) -> dict[str, Any]:
    return {
        "name": name,
        "use": use,
        "min": least,
        "max": most,
        "type": kind,
        "documentation": documentation,
    }
