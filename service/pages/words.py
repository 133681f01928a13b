"""Roles in the words of whoever has them; numbers and moments as pages write them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from service.identity.roles import ROLES, Role

ROLE_NAMES: Final = {
    Role.CLINICIAN: "clinician",
    Role.CARE_MANAGER: "care manager",
    Role.DATA_SCIENTIST: "data scientist",
    Role.AUDITOR: "auditor",
    Role.ADMINISTRATOR: "administrator",
}

ACCESS: Final = {
    ("RiskAssessment", "c"): "ask for the risk of a stay",
    ("RiskAssessment", "r"): "read a risk that was given before",
    ("RiskAssessment", "s"): "list the risks that were given",
    ("Task", "c"): "begin the follow-up of a patient",
    ("Task", "r"): "read how far a patient is followed up",
    ("Task", "u"): "record how far a patient is followed up",
    ("Task", "s"): "list how far patients are followed up",
    ("DocumentReference", "r"): "read what the model is and how it did",
    ("DocumentReference", "s"): "list the documents about the model",
    ("Consent", "c"): "open a record beyond your units in an emergency, with a reason that is kept",
    ("AuditEvent", "r"): "read who saw what",
    ("AuditEvent", "s"): "search in who saw what",
    ("Device", "r"): "read how the service is doing",
    ("Device", "s"): "search in how the service was doing",
}
"""Each kind of access that a role has, as what a person does with it."""


def role_names(roles: Iterable[Role]) -> str:
    """Some roles in words, in the order in which they are declared."""
    held = frozenset(roles)
    return ", ".join(name for role, name in ROLE_NAMES.items() if role in held)


def may_do(role: Role) -> tuple[str, ...]:
    """What a role may do. What has no words here is named by its scope: it must not be hidden."""
    return tuple(
        ACCESS.get((scope.resource, permission), f"{scope.resource}.{permission}")
        for scope in ROLES[role].scopes
        for permission in scope.permissions
    )


def capitalised(words: str) -> str:
    """A phrase as a sentence begins; what follows the first letter stays as it is."""
    return words[:1].upper() + words[1:]


def signed(contribution: float) -> str:
    """A contribution with its sign, two decimals; a negative one has a minus, not a hyphen."""
    return f"{contribution:+.2f}".replace("-", "\N{MINUS SIGN}")


def points(difference: int) -> str:
    """A difference of two risks, in percentage points, in words: ``3 points lower``."""
    if difference == 0:
        return "about the same"
    unit = "point" if abs(difference) == 1 else "points"
    return f"{abs(difference)} {unit} {'higher' if difference > 0 else 'lower'}"


def readable(moment: str) -> str:
    """An ISO moment as people read it, by the record's own clock; a bare year as it is."""
    try:
        return datetime.fromisoformat(moment).strftime("%Y-%m-%d, %H:%M")
    except ValueError:
        return moment
