"""Who asks: a person with roles, or a system with scopes."""

from typing import Final, Literal

import msgspec

from service.identity.roles import ROLES, Purpose, Role
from service.identity.scopes import Scope, granted


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever a request was identified as coming from."""

    way: Literal["bearer", "session", "development"]
    issuer: str
    subject: str
    """Who, in the issuer's own terms. For a system, its client id."""
    client: str | None = None
    """The program that the person uses, where the token names it."""
    name: str | None = None
    """What pages call the person; never logged."""
    roles: frozenset[Role] = frozenset()
    """Of a person; a system has none."""
    scopes: tuple[Scope, ...] | None = None
    """The SMART scopes of the token; None where the token carries none and the roles decide."""
    units: frozenset[str] = frozenset()
    """The units that a person works in, as the records name them (see ``Stay.site``)."""
    patient: str | None = None
    """The one patient that a token with ``patient/`` scopes is for."""
    purpose: Purpose | None = None
    """Why they ask: as the token says, then as ``service.identity.purpose`` settles it."""

    @property
    def is_system(self) -> bool:
        """Whether a program asks on its own behalf."""
        return not self.roles

    def granting(self, resource: str, permission: str) -> frozenset[Role]:
        """The roles that grant one kind of access to one type of resource."""
        return frozenset(
            role for role in self.roles if granted(ROLES[role].scopes, resource, permission)
        )

    def may(self, resource: str, permission: str) -> bool:
        """Whether scopes and roles together allow one kind of access to one type of resource."""
        if self.is_system:
            own = tuple(scope for scope in self.scopes or () if scope.context == "system")
            return granted(own, resource, permission)
        by_role = bool(self.granting(resource, permission))
        if self.scopes is None:
            return by_role
        asked = tuple(scope for scope in self.scopes if scope.context != "system")
        return by_role and granted(asked, resource, permission)

    def only_patient(self, resource: str, permission: str) -> str | None:
        """The patient to whom this access is confined; None where it is not confined to one.

        A token may carry ``user/`` and ``patient/`` scopes: it is confined where no ``user/`` scope
        grants the access.
        """
        if self.is_system or self.scopes is None:
            return None
        wide = tuple(scope for scope in self.scopes if scope.context == "user")
        if granted(wide, resource, permission):
            return None
        return self.patient or ""


DEVELOPER: Final = Caller(
    way="development", issuer="development", subject="developer", roles=frozenset(Role)
)
"""Whoever asks a service in development mode."""
