"""Where a record behind a reason can be read: in the EHR that it came from."""

import re
from typing import Final, NamedTuple

from service.identity.issuers import Trusted
from service.identity.sessions import Launch

_REFERENCE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64}", re.ASCII)
"""A relative literal reference (FHIR R4, references.html and the data type ``id``)."""


class RecordLink(NamedTuple):
    """A record, and where it is."""

    name: str
    """``Type/id``."""
    address: str | None
    """Its URL at the EHR's FHIR server; None where that is not known."""


def ehr_of(launch: Launch | None, trusted: Trusted) -> str | None:
    """The base URL of the EHR's FHIR server: of the launch, or the only one that is paired.

    Of several servers, a guess might lead to another patient's record of the same id.
    """
    if launch is not None:
        base = launch.fhir_server
    elif len(trusted.fhir_servers) == 1:
        base = trusted.fhir_servers[0].url
    else:
        return None
    return base.rstrip("/") if base.startswith(("https://", "http://")) else None


def record_link(name: str, ehr: str | None) -> RecordLink:
    """A record by its name; what is no plain reference is named and leads nowhere."""
    known = ehr is not None and _REFERENCE.fullmatch(name) is not None
    return RecordLink(name, f"{ehr}/{name}" if known else None)
