"""What is written to an EHR about one stay: RiskAssessment, Flag and Provenance, one of each.

Each carries the stay's identifier, by which a conditional update finds it again, and the id of the
score that it was made of, by which we see that it arrived. R4 gives RiskAssessment and Flag an
``identifier``; Provenance has none, so that it carries both as tags, which every type is searched
by (``_tag``). An EHR does not know our Device and our model card: they are contained.

Sources: FHIR R4, RESTful API, "Conditional update"; Provenance; Resource.meta.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote

from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment

from service.fhir_out.risk_assessment import (
    device,
    flag_of,
    provenance,
    risk_assessment,
)
from service.score import Score, Scored

Kind = Literal["RiskAssessment", "Flag", "Provenance"]

STAY: Final = "urn:readmit:stay"
"""The system of the stays' identifiers: keyed names that lead to nobody without our key."""

SCORE: Final = "urn:readmit:score"
"""The system of the scores' ids."""

_SEARCHED_BY: Final[dict[Kind, str]] = {
    "RiskAssessment": "identifier",
    "Flag": "identifier",
    "Provenance": "_tag",
}

Resource = dict[str, Any]


def condition(kind: Kind, stay: str) -> str:
    """The search that finds the one resource of a stay: ``Flag?identifier=system|value``."""
    return f"{kind}?{_SEARCHED_BY[kind]}={quote(f'{STAY}|{stay}', safe='')}"


def lies_there(found: Any, wanted: Resource) -> bool:
    """Whether what an EHR gives is what is to be written: of the same score, in the same state."""
    if not isinstance(found, dict):
        return False
    return _scores(wanted) <= _scores(found) and found.get("status") == wanted.get("status")


def _scores(resource: Resource) -> set[str]:
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    marks = [*_list(resource.get("identifier")), *_list(tags)]
    return {
        str(mark.get("value") or mark.get("code"))
        for mark in marks
        if isinstance(mark, dict) and mark.get("system") == SCORE
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def resource_of(
    kind: Kind, score: Score, made_at: datetime, stay: str, *, active: bool, model_card: str
) -> Resource:
    """What is to lie at the EHR.

    Args:
        kind: which of the three.
        score: the newest one of the stay.
        made_at: when it was made, with a timezone.
        stay: the stay's identifier.
        active: whether a Flag is to stand. Of a stay without a risk there is nothing else to write.
        model_card: URL of the model card.
    """
    if kind == "Flag":
        return _flag(score, made_at, stay, active=active)
    assert isinstance(score, Scored)  # noqa: S101  a stay without a risk has neither
    if kind == "RiskAssessment":
        return _assessment(score, made_at, stay)
    return _provenance(score, made_at, stay, model_card)


def _assessment(score: Scored, made_at: datetime, stay: str) -> Resource:
    made = _plain(risk_assessment(score, str(score.score_id), made_at))
    ours, performer = _contained(score)
    content = _of_the_ehr(made, score, stay) | {"contained": [ours], "performer": performer}
    return _checked(RiskAssessment, content)


def _flag(score: Score, made_at: datetime, stay: str, *, active: bool) -> Resource:
    made = _plain(flag_of(score, str(score.score_id)))
    ours, author = _contained(score)
    content = _of_the_ehr(made, score, stay) | {"contained": [ours], "author": author}
    if not active:
        ended = made_at.astimezone(UTC).isoformat(timespec="seconds")
        content |= {"status": "inactive", "period": {"end": ended}}
    return _checked(Flag, content)


def _provenance(score: Scored, made_at: datetime, stay: str, model_card: str) -> Resource:
    made = _plain(provenance(score, str(score.score_id), model_card, made_at))
    ours, who = _contained(score)
    # The EHR gave the assessment an id of its own, that we are not told for certain.
    target = {"type": "RiskAssessment", "identifier": {"system": STAY, "value": stay}}
    content = made | {
        "meta": {
            "tag": [{"system": STAY, "code": stay}, {"system": SCORE, "code": str(score.score_id)}]
        },
        "contained": [*made["contained"], ours],
        "target": [target],
        "agent": [agent | {"who": who} for agent in made["agent"]],
    }
    return _checked(Provenance, content)


def _contained(score: Score) -> tuple[Resource, Resource]:
    """The Device within another resource, and the reference to it there."""
    model = score.model
    reference = {"reference": "#model", "display": f"{model.name}, version {model.version}"}
    return _plain(device(model)) | {"id": "model"}, reference


def _of_the_ehr(made: Resource, score: Score, stay: str) -> Resource:
    """Without the id and the moment that the EHR sets itself, and with what it is found by."""
    identifiers = [
        {"system": STAY, "value": stay},
        {"system": SCORE, "value": str(score.score_id)},
    ]
    meta = {name: value for name, value in made["meta"].items() if name != "lastUpdated"}
    rest = {name: value for name, value in made.items() if name != "id"}
    return rest | {"meta": meta, "identifier": identifiers}


def _checked(kind: Any, content: Resource) -> Resource:
    return _plain(kind.model_validate(content))


def _plain(resource: Any) -> Resource:
    content: Resource = json.loads(resource.model_dump_json())
    return content
