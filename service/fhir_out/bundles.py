"""Scores as FHIR's answers: one assessment, the operation's Bundle, and a page of a search."""

import json
from typing import Any, Final
from urllib.parse import urlencode

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.riskassessment import RiskAssessment

from service.fhir_out.risk_assessment import device, flag, provenance, risk_assessment
from service.fhir_out.search import Asked
from service.kept_scores import KeptScore
from service.kept_search import Found
from service.score import NotScored, Scored

SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
"""What R4 marks a resource with of which a search gave the summary alone."""

NOT_SCORED: Final = "urn:readmit:not-scored"
"""The system of the reasons why a stay has no risk."""

Resource = dict[str, Any]


def assessment(kept: KeptScore) -> Resource:
    """A score that is kept as RiskAssessment."""
    score = kept.score
    assert isinstance(score, Scored)  # noqa: S101  a stay without a risk has no assessment
    return _plain(risk_assessment(score, str(score.score_id), kept.made_at, kept.view))


def operation_bundle(kept: KeptScore, own_url: str) -> Resource:
    """What ``$readmission-risk`` returns: the assessment with all that belongs to it.

    A stay that has no risk gets an OperationOutcome with the reason, and no assessment: the
    operation did not fail, and that it was asked is kept as every score is.

    Args:
        kept: the score.
        own_url: the URL that callers know the service by.
    """
    score = kept.score
    if isinstance(score, NotScored):
        return _bundle("collection", [{"resource": _why_not(score)}])
    score_id = str(score.score_id)
    resources = [
        assessment(kept),
        _plain(device(score.model)),
        # Nobody refers to it.
        _plain(provenance(score, score_id, f"{own_url}/v1/model", kept.made_at)) | {"id": score_id},
    ]
    flagged = flag(score, score_id)
    if flagged is not None:
        resources.append(_plain(flagged))
    return _bundle("collection", [_entry(one, own_url) for one in resources])


def search_bundle(asked: Asked, found: Found, own_url: str) -> Resource:
    """A page of a search, as R4's searchset.

    Args:
        asked: the search, as it was understood.
        found: what it found.
        own_url: the URL that callers know the service by.
    """
    shown = [assessment(kept) for kept in found.scores]
    if asked.summary == "true":
        shown = [_summary(one) for one in shown]
    entries = [_entry(one, own_url) | {"search": {"mode": "match"}} for one in shown]
    if asked.passed_over:
        entries.append({"resource": _PASSED_OVER, "search": {"mode": "outcome"}})
    links = [("self", asked.used)]
    if found.next is not None:
        others = tuple(pair for pair in asked.used if pair[0] != "_page")
        links.append(("next", (*others, ("_page", found.next))))
    return _bundle(
        "searchset",
        entries,
        total=found.total,
        link=[
            {"relation": relation, "url": f"{own_url}/fhir/RiskAssessment?{urlencode(pairs)}"}
            for relation, pairs in links
        ],
    )


_PASSED_OVER: Final[Resource] = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "warning",
            "code": "not-supported",
            "details": {"text": "A search parameter is not known and was passed over"},
            "diagnostics": "The self link names those that were used.",
        }
    ],
}


def _why_not(score: NotScored) -> Resource:
    return {
        "resourceType": "OperationOutcome",
        "id": str(score.score_id),
        "issue": [
            {
                "severity": "warning",
                "code": "business-rule",
                "details": {
                    "coding": [{"system": NOT_SCORED, "code": score.reason.code}],
                    "text": score.reason.sentence,
                },
                "diagnostics": "The stay is not scored: it has no risk assessment.",
            }
        ],
    }


def _summary(resource: Resource) -> Resource:
    """The elements that R4 marks as the summary."""
    kept = {"resourceType", *RiskAssessment.summary_elements_sequence()}
    shown = {name: value for name, value in resource.items() if name in kept}
    return shown | {"meta": resource["meta"] | {"tag": [SUBSETTED]}}


def _entry(resource: Resource, own_url: str) -> Resource:
    url = f"{own_url}/fhir/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource}


def _bundle(kind: str, entries: list[Resource], **more: Any) -> Resource:
    """A Bundle; FHIR knows no empty list."""
    content = {"resourceType": "Bundle", "type": kind, **more}
    return _plain(Bundle.model_validate(content | ({"entry": entries} if entries else {})))


def _plain(resource: Any) -> Resource:
    content: Resource = json.loads(resource.model_dump_json())
    return content
