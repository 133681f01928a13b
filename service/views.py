"""What each role sees of a score, field by field. A field that is not declared here is not sent.

Clinicians, care managers and systems see all of the scores that they may see. A data scientist
judges the model and not a patient: they see the numbers and the reasons, without whom they are
about. The view is as small as its purpose and still valid against the documented schema.

It is a pseudonymous view, not de-identified data: what a person did not know beforehand they do not
learn from it, but rare findings together may still point at somebody.
"""

import math
import re
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from fhir_mappings.clinical_scores import ClinicalScore, ScoreItem
from service.identity.roles import Role
from service.protection.keys import Keys
from service.protection.sealing import index_of
from service.score import (
    Comparison,
    MissingInput,
    ModelIdentity,
    NotScored,
    NotSent,
    Reason,
    Scored,
    StaleInput,
    UnreadRecord,
    WhyNotScored,
)
from service.score_list import PatientScores, ScoreSummary

Answer = TypeVar("Answer", bound=msgspec.Struct)


class View(StrEnum):
    """How much of a score somebody sees."""

    WHOLE = "whole"
    WITHOUT_IDENTITY = "without_identity"


ROLE_VIEWS: Final[dict[Role, View | None]] = {
    Role.CLINICIAN: View.WHOLE,
    Role.CARE_MANAGER: View.WHOLE,
    Role.DATA_SCIENTIST: View.WITHOUT_IDENTITY,
    Role.AUDITOR: None,
    Role.ADMINISTRATOR: None,
}
"""What each role sees of a score that it may see; None where it sees none."""


def view_of(roles: Collection[Role], *, is_system: bool = False) -> View | None:
    """The widest view of some roles; a system that may read scores sees all of them."""
    views = {ROLE_VIEWS[role] for role in roles}
    if is_system or View.WHOLE in views:
        return View.WHOLE
    return View.WITHOUT_IDENTITY if View.WITHOUT_IDENTITY in views else None


class Treatment(NamedTuple):
    """What becomes of a field where the view is without identity."""

    name: str
    change: Callable[[Keys, Any], Any]


OLDEST: Final = 89
"""Ages above are as good as a name (45 CFR 164.514(b)(2)(i)(C)): they are shown as one group."""

AGE_FEATURES: Final = frozenset({"age"})
"""The features whose value is the patient's age in years."""

_DATE: Final = re.compile(r"\b([0-9]{4})-[0-9]{2}(-[0-9]{2})?(T[0-9:.]+(Z|[+-][0-9:]+)?)?")


def _year(_: Keys, text: str | None) -> str | None:
    return None if text is None else _DATE.sub(r"\1", text)


def _pseudonym(kind: str) -> Treatment:
    return Treatment("pseudonym", lambda keys, value: index_of(keys, kind, value))


def _withheld(_: Keys, value: object) -> object:
    """Nothing, in the form that the schema allows: an empty list, or null."""
    return () if isinstance(value, tuple) else None


SHOWN: Final = Treatment("shown", lambda keys, value: _part(keys, value))
YEAR: Final = Treatment("year", _year)
WITHHELD: Final = Treatment("withheld", _withheld)
PATIENT: Final = _pseudonym("patient")
ENCOUNTER: Final = _pseudonym("encounter")

FIELDS: Final[dict[type[msgspec.Struct], dict[str, Treatment]]] = {
    Scored: {
        "score_id": SHOWN,
        "subject": PATIENT,
        "encounter_id": ENCOUNTER,
        "as_of": YEAR,
        "probability": SHOWN,
        "band": SHOWN,
        "horizon_days": SHOWN,
        "comparison": SHOWN,
        "baseline_log_odds": SHOWN,
        "log_odds": SHOWN,
        "reasons": SHOWN,
        "other_contributions": SHOWN,
        "missing_inputs": SHOWN,
        "stale_inputs": SHOWN,
        "lace": SHOWN,
        "hospital": SHOWN,
        "model": SHOWN,
        # Where something in a record could not be read is told by the record's own path.
        "unread": WITHHELD,
        "not_sent": SHOWN,
    },
    NotScored: {
        "score_id": SHOWN,
        "subject": PATIENT,
        "encounter_id": ENCOUNTER,
        "as_of": YEAR,
        "reason": SHOWN,
        "model": SHOWN,
        "unread": WITHHELD,
        "not_sent": SHOWN,
    },
    Reason: {
        "phrase": YEAR,
        "feature": SHOWN,
        "value": SHOWN,
        "unit": SHOWN,
        "date": YEAR,
        "direction": SHOWN,
        "contribution": SHOWN,
        "changeable": SHOWN,
        "evidence": WITHHELD,
        "evidence_count": SHOWN,
    },
    StaleInput: {"feature": SHOWN, "phrase": YEAR, "date": YEAR, "days": SHOWN},
    MissingInput: {"phrase": YEAR, "features": SHOWN},
    Comparison: {"reference_risk": SHOWN, "ratio": SHOWN, "phrase": SHOWN},
    ClinicalScore: {
        "name": SHOWN,
        "version": SHOWN,
        "points": SHOWN,
        "maximum": SHOWN,
        "band": SHOWN,
        "items": SHOWN,
        "reference": SHOWN,
    },
    ScoreItem: {
        "letter": SHOWN,
        "name": SHOWN,
        "shown": YEAR,
        "points": SHOWN,
        "evidence": WITHHELD,
        "missing": SHOWN,
    },
    ModelIdentity: {"name": SHOWN, "version": SHOWN, "run_id": SHOWN},
    WhyNotScored: {"code": SHOWN, "sentence": SHOWN},
    NotSent: {"resource_type": SHOWN, "consequence": SHOWN},
    UnreadRecord: {"element": WITHHELD, "reason": WITHHELD},
    PatientScores: {"patient": PATIENT, "scores": SHOWN, "next": SHOWN},
    ScoreSummary: {
        "score_id": SHOWN,
        "encounter_id": ENCOUNTER,
        "made_at": YEAR,
        "status": SHOWN,
        "probability": SHOWN,
        "band": SHOWN,
        "unit": WITHHELD,
        "model": SHOWN,
    },
}
"""Every field of every answer about a patient, as it is seen without identity."""


def seen(answer: Answer, view: View, keys: Keys) -> Answer:
    """An answer as a view shows it."""
    if view is View.WHOLE:
        return answer
    found = _part(keys, answer)
    assert isinstance(found, type(answer))  # noqa: S101  a view leaves every struct what it is
    return found


def _part(keys: Keys, value: Any) -> Any:
    """A value as it is seen without identity: structs and tuples by what they hold."""
    if isinstance(value, tuple):
        return tuple(_part(keys, one) for one in value)
    if not isinstance(value, msgspec.Struct):
        return value
    treatments = FIELDS[type(value)]
    changed = {
        name: treatments[name].change(keys, getattr(value, name))
        for name in value.__struct_fields__
    }
    return _without_great_age(type(value)(**changed))


def _without_great_age(value: Any) -> Any:
    """A reason whose value is an age above 89 becomes one of all such ages."""
    if not isinstance(value, Reason) or value.feature not in AGE_FEATURES:
        return value
    if value.value is None or math.floor(value.value) <= OLDEST:
        return value
    return msgspec.structs.replace(
        value, value=float(OLDEST + 1), phrase=f"{OLDEST + 1} years old or older"
    )
