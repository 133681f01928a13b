"""Drugs that records name by reference, fetched from the EHR's own server.

Many EHRs name the drug of a MedicationRequest by reference. ``_include`` would bring the Medication
along, but CDS Hooks 2.0 ("Prefetch query restrictions") asks services to keep to searches that
every EHR can answer, and it is not among those. So it is fetched, where we have access to the
server; where we have not, or the server does not give it, the answer says that it is not known.
"""

import re
from collections.abc import Iterable
from typing import Final

import anyio
import msgspec

from service.cds_hooks.prefetch import resources_of
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import FHIRServer

DRUGS_AT_MOST: Final = 200
"""As many as there may be prescriptions in a prefetch."""
_AT_A_TIME: Final = 50
"""Ids in one search, so that its URL stays short enough for every server."""
_BY_REFERENCE: Final = b'"medicationReference"'
_DRUG: Final = re.compile(r"(?:.*/)?Medication/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?", re.ASCII)


class _Reference(msgspec.Struct):
    reference: str = ""


class _Medicated(msgspec.Struct, rename="camel"):
    medication_reference: _Reference = msgspec.field(default_factory=_Reference)


class _Drug(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    id: str = ""


def lacking_drugs(resources: Iterable[bytes]) -> tuple[str, ...]:
    """The ids of the Medications that records name and that are not among them."""
    named: dict[str, None] = {}
    held = set()
    for raw in resources:
        try:
            if _BY_REFERENCE in raw:
                reference = msgspec.json.decode(raw, type=_Medicated).medication_reference.reference
                if (drug := _DRUG.fullmatch(reference)) is not None:
                    named[drug[1]] = None
            elif b'"Medication"' in raw:
                found = msgspec.json.decode(raw, type=_Drug)
                if found.resource_type == "Medication":
                    held.add(found.id)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # the reader says what is wrong with it
    return tuple(one for one in named if one not in held)[:DRUGS_AT_MOST]


async def named_drugs(resources: Iterable[bytes], server: FHIRServer) -> list[bytes]:
    """The Medications that records name and that are not among them, as far as they can be had.

    None is worth refusing an answer for: without them the reader is told that they are not known.
    """
    found: list[bytes] = []

    async def fetch(drugs: tuple[str, ...]) -> None:
        try:
            pages = await server.search(f"Medication?_id={','.join(drugs)}&_count={len(drugs)}")
        except FHIRServerError:
            return
        found.extend(one for page in pages for one in resources_of(page) or ())

    async with anyio.create_task_group() as group:
        for drugs in _parts(lacking_drugs(resources)):
            group.start_soon(fetch, drugs)
    return found


def _parts(drugs: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    return (drugs[at : at + _AT_A_TIME] for at in range(0, len(drugs), _AT_A_TIME))
