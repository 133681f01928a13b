"""Whom one access reaches: which patients, and the stays of which units."""

from typing import NamedTuple

from service.identity.caller import Caller
from service.identity.roles import ROLES, Role


class Reach(NamedTuple):
    """The patients and units that one kind of access of a caller covers."""

    patient: str | None
    """The one patient that it is confined to; None where it is not confined to one."""
    roles: frozenset[Role]
    """The caller's roles that grant it; a system has none."""
    is_system: bool
    own_units: frozenset[str]
    every_unit: bool = False
    """Whether all units are theirs: of whoever develops, who has no token to name some."""

    def covers_patient(self, patient: str) -> bool:
        """Whether it is not confined to another patient."""
        return self.patient is None or self.patient == patient

    def roles_in(self, unit: str | None, *, opened: bool = False) -> frozenset[Role]:
        """The roles that let the caller see a stay of a unit.

        A stay whose unit nobody recorded is in nobody's unit: it is for those who see all.

        Args:
            unit: the stay's; None where the record names none.
            opened: whether the caller has broken the glass for this patient.
        """
        if opened or self.every_unit or (unit is not None and unit in self.own_units):
            return self.roles
        return frozenset(role for role in self.roles if ROLES[role].every_unit)

    def covers_unit(self, unit: str | None, *, opened: bool = False) -> bool:
        """Whether the caller may see a stay of a unit at all."""
        return self.is_system or bool(self.roles_in(unit, opened=opened))


def reach_of(caller: Caller, resource: str, permission: str) -> Reach:
    """Whom the caller's access of one kind to one type of resource covers."""
    return Reach(
        patient=caller.only_patient(resource, permission),
        roles=caller.granting(resource, permission),
        is_system=caller.is_system,
        own_units=caller.units,
        every_unit=caller.way == "development",
    )
