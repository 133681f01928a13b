"""The roles of the clinic: what each is for, which scopes it has, and for which purposes it asks.

A token of a person is never stronger than the person's roles: what it may do is what both its
scopes and a role allow. A role is data; which claim of an issuer means which role is the operator's
(``issuers``).
"""

from enum import StrEnum
from typing import Final, NamedTuple

from service.identity.scopes import Scope, parse_scopes


class Role(StrEnum):
    """What a person is to this service."""

    CLINICIAN = "clinician"
    CARE_MANAGER = "care_manager"
    DATA_SCIENTIST = "data_scientist"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Purpose(StrEnum):
    """Why a record is asked for (HL7 v3 PurposeOfUse)."""

    TREATMENT = "TREAT"
    CARE_MANAGEMENT = "CAREMGT"
    EMERGENCY = "ETREAT"
    OPERATIONS = "HOPERAT"
    QUALITY = "HQUALIMP"
    RESEARCH = "HRESCH"
    ADMINISTRATION = "HSYSADMIN"
    PATIENT_REQUEST = "PATRQT"


class RoleDescription(NamedTuple):
    """What a role may do, and why it needs it."""

    why: str
    scopes: tuple[Scope, ...]
    purposes: tuple[Purpose, ...]
    """The first one is assumed where a request names none."""
    every_unit: bool
    """Whether the role works in all units; if not, the person's token must name theirs."""


ROLES: Final[dict[Role, RoleDescription]] = {
    Role.CLINICIAN: RoleDescription(
        "Treats patients: asks for a risk with its reasons and reads earlier ones; sees how far a "
        "patient is followed up.",
        parse_scopes(
            "user/RiskAssessment.crs user/Task.rs user/DocumentReference.rs user/Consent.c "
            "user/List.rs user/Group.rs"
        ),
        (Purpose.TREATMENT, Purpose.EMERGENCY),
        every_unit=True,
    ),
    Role.CARE_MANAGER: RoleDescription(
        "Follows discharged patients of certain units, and records how far.",
        parse_scopes(
            "user/RiskAssessment.crs user/Task.crus user/DocumentReference.rs user/Consent.c "
            "user/List.rs user/Group.rs"
        ),
        (Purpose.CARE_MANAGEMENT, Purpose.TREATMENT, Purpose.EMERGENCY),
        every_unit=False,
    ),
    Role.DATA_SCIENTIST: RoleDescription(
        "Defends the model: reads scores without whom they are about.",
        parse_scopes("user/RiskAssessment.rs user/DocumentReference.rs"),
        (Purpose.QUALITY, Purpose.RESEARCH),
        every_unit=True,
    ),
    Role.AUDITOR: RoleDescription(
        "Asks who saw what: reads the audit, no scores.",
        parse_scopes("user/AuditEvent.rs user/DocumentReference.rs"),
        (Purpose.OPERATIONS, Purpose.PATIENT_REQUEST),
        every_unit=True,
    ),
    Role.ADMINISTRATOR: RoleDescription(
        "Keeps the service running: reads its metrics, no patients.",
        parse_scopes("user/Device.rs user/DocumentReference.rs"),
        (Purpose.ADMINISTRATION,),
        every_unit=True,
    ),
}
"""Every role. `Device` is the service itself: its metrics are how that device does."""
