"""Site profiles: how a hospital codes its stays and its concepts, as data (TOML), not Python.

A profile ships with readmit by name (``default``, ``mimic``, ``synthea``, ``clinosim``,
``simulated``) or is a file of the site's own. What it does not say is as in ``default``.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from fhir_mappings.errors import SiteProfileError

SHIPPED = ("default", "mimic", "synthea", "clinosim", "simulated")
"""The profiles that ship with readmit."""
SIMULATED = frozenset({"simulated", "clinosim", "synthea"})
"""Those of records whose patients do not exist: whatever is made from them says so."""


class EncounterRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule of what an Encounter is; the first that fits decides, before any class code."""

    kind: Literal["inpatient", "observation", "emergency", "outpatient", "unit", "other"]
    classes: tuple[str, ...] = ()
    """Codes of ``Encounter.class``, without system; empty for any."""
    types: tuple[str, ...] = ()
    """``SYSTEM|code`` of ``Encounter.type``; empty for any."""
    has: tuple[str, ...] = ()
    """Elements that must be there (FHIR names)."""
    lacks: tuple[str, ...] = ()
    """Elements that must not be there."""


class StayRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How encounters become stays."""

    merge_within_hours: float = 12.0
    """A stay that starts this soon after another's end continues it (a transfer)."""
    emergency_within_hours: float = 12.0
    """An emergency visit that ends this soon before a stay led to it."""
    longest_emergency_days: float = 3.0
    """An emergency visit longer than this is a record left open, not a visit."""


class CodingRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When what is coded for a stay becomes known."""

    known: Literal["when-recorded", "after-discharge"] = "when-recorded"
    """``when-recorded``: at ``recordedDate``, at the stay's end where that is missing.
    ``after-discharge``: ``days`` after the stay's end, whatever the record says, as billing codes
    are."""
    days: float = 0.0


class SiteProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one site codes."""

    name: str
    description: str
    timezone: str = "UTC"
    """IANA name; for dates and times without an offset."""
    calendar: bool = True
    """Whether dates can be compared between patients; False where each patient's are shifted."""
    systems: dict[str, str] = {}
    """Addresses of local code systems, each with the system that it really is."""
    encounters: tuple[EncounterRule, ...] = ()
    stays: StayRules = StayRules()
    coding: CodingRules = CodingRules()
    concepts: dict[str, tuple[str, ...]] = {}
    """The site's own codes for a concept, added to those that ship (a trailing ``*``: prefix)."""
    medication_identifiers: tuple[str, ...] = ()
    """Systems of ``Medication.identifier`` that name the drug, where ``code`` does not."""
    sites: dict[str, str] = {}
    """What to call the Organization of a stay: by its id, or by the beginning of ids (trailing
    ``*``) where the Organizations are the departments of one site."""

    def site_name(self, organization: str) -> str:
        """The site that an Organization is, or belongs to; its own id where nothing is said."""
        name = self.sites.get(organization)
        if name is not None:
            return name
        for beginning, called in self.sites.items():
            if beginning.endswith("*") and organization.startswith(beginning[:-1]):
                return called
        return organization


@cache
def load_profile(name: str) -> SiteProfile:
    """Load a profile that ships with readmit, or the TOML file at that path.

    Raises:
        SiteProfileError: if there is none of that name, or it is malformed.

    """
    if name in SHIPPED:
        text = (files("fhir_mappings.profiles") / f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml") and Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        known = ", ".join(SHIPPED)
        raise SiteProfileError(f"no site profile '{name}'; give a .toml file or one of: {known}")
    try:
        profile = msgspec.toml.decode(text, type=SiteProfile)
        ZoneInfo(profile.timezone)
    except msgspec.DecodeError as error:
        raise SiteProfileError(f"site profile {name}: {error}") from None
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise SiteProfileError(f"site profile {name}: no time zone '{profile.timezone}'") from None
    return profile
