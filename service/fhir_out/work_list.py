"""The list as FHIR: a ranked ``List`` of assessments, and a ``Group`` whose members it follows.

Sources: FHIR R4 List (mode snapshot, ordered by the user's criterion) and Group; Bulk Data Access,
``Group/$export``, for which a system copies the members.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fhir.resources.R4B.group import Group
from fhir.resources.R4B.list import List

from service.fhir_out.risk_assessment import AIAST
from service.work_list.read import Listed

ID: Final = "work-list"
"""There is one list: filters narrow it."""

TITLE: Final = "Patients to follow up after discharge, by the risk that is left"
_ORDER: Final = "http://terminology.hl7.org/CodeSystem/list-order"

Resource = dict[str, Any]


def ranked(listed: Sequence[Listed], as_of: str | None) -> Resource:
    """The list, the highest remaining risk first; each entry is the assessment with its patient.

    Args:
        listed: in their order.
        as_of: the moment of the batch run that made the list; now where there was none.
    """
    entries = [
        {
            "item": {
                "reference": f"RiskAssessment/{one.score_id}",
                "type": "RiskAssessment",
                "display": f"Patient/{one.patient}",
            },
            "date": as_of or _now(),
            "flag": {"text": f"{one.band} at discharge; {one.status}"},
        }
        for one in listed
    ]
    content: Resource = {
        "resourceType": "List",
        "id": ID,
        "meta": {"security": [AIAST]},
        "status": "current",
        "mode": "snapshot",
        "title": TITLE,
        "date": as_of or _now(),
        "orderedBy": {
            "coding": [{"system": _ORDER, "code": "priority", "display": "Sorted by Priority"}]
        },
    }
    content |= {"entry": entries} if entries else {"emptyReason": _empty()}
    return _plain(List.model_validate(content))


def members(listed: Sequence[Listed]) -> Resource:
    """The patients of the list as a Group of persons."""
    content: Resource = {
        "resourceType": "Group",
        "id": ID,
        "meta": {"security": [AIAST]},
        "type": "person",
        "actual": True,
        "active": True,
        "name": TITLE,
        "quantity": len(listed),
    }
    if listed:
        content["member"] = [
            {"entity": {"reference": f"Patient/{one.patient}", "type": "Patient"}} for one in listed
        ]
    return _plain(Group.model_validate(content))


def _empty() -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
    return {"coding": [{"system": system, "code": "nilknown", "display": "Nil Known"}]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(resource: Any) -> Resource:
    content: Resource = json.loads(resource.model_dump_json())
    return content
