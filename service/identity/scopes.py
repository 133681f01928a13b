"""SMART scopes, version 2 and version 1, and whether one grants what a route needs.

Source: SMART App Launch 2.2, "Scopes for requesting FHIR Resources":
``(patient|user|system)/(Type|*).[c][r][u][d][s][?param=value]``, the letters in that order; version
1 is ``.read`` (= ``rs``), ``.write`` (= ``cud``) and ``.*`` (= ``cruds``).
"""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, cast

Context = Literal["patient", "user", "system"]

_SCOPE: Final = re.compile(
    r"(?P<context>patient|user|system)/(?P<resource>[A-Z][A-Za-z]{1,63}|\*)"
    r"\.(?P<permissions>c?r?u?d?s?|read|write|\*)"
)
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}


class Scope(NamedTuple):
    """One scope that a token or a role carries."""

    context: Context
    resource: str
    """A FHIR resource type, or ``*``."""
    permissions: str
    """Some of ``cruds``: create, read, update, delete, search."""

    def grants(self, resource: str, permission: str) -> bool:
        """Whether it covers one kind of access to one type of resource."""
        return self.resource in (resource, "*") and permission in self.permissions

    def __str__(self) -> str:
        return f"{self.context}/{self.resource}.{self.permissions}"


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """Read the SMART scopes out of a space-separated list; what is none of them is passed over.

    A scope with a search constraint (``?category=...``) is passed over as well: none of our answers
    can be narrowed by it, and granting it as if it had none would grant more than was given.
    """
    return tuple(found for word in text.split() if (found := parse_scope(word)) is not None)


def parse_scope(word: str) -> Scope | None:
    """Read one scope; None where it is not a SMART scope on resources, or grants nothing."""
    found = _SCOPE.fullmatch(word)
    if found is None or not found["permissions"]:
        return None
    permissions = _VERSION_1.get(found["permissions"], found["permissions"])
    return Scope(cast(Context, found["context"]), found["resource"], permissions)


def granted(scopes: Iterable[Scope], resource: str, permission: str) -> bool:
    """Whether any of the scopes grants one kind of access to one type of resource."""
    return any(scope.grants(resource, permission) for scope in scopes)


def common(asked: Iterable[Scope], allowed: Iterable[Scope]) -> tuple[Scope, ...]:
    """What is both asked for and allowed: every access that both grant, and none that one lacks."""
    limits = tuple(allowed)
    found = (both for one in asked for limit in limits if (both := _common(one, limit)) is not None)
    return tuple(dict.fromkeys(found))


def _common(one: Scope, other: Scope) -> Scope | None:
    if one.context != other.context:
        return None
    if "*" not in (one.resource, other.resource) and one.resource != other.resource:
        return None
    permissions = "".join(letter for letter in one.permissions if letter in other.permissions)
    resource = other.resource if one.resource == "*" else one.resource
    return Scope(one.context, resource, permissions) if permissions else None
