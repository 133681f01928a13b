"""What the EHR holds: the hospital's records, and over them what was written since it started.

What was written is in memory alone, with its versions, and gone when the EHR stops.
"""

import copy
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from service.demo_ehr.errors import FHIRError
from service.demo_ehr.records import HospitalRecords, Resource

WRITABLE: Final = (
    "Encounter",
    "Flag",
    "Provenance",
    "RiskAssessment",
    "ServiceRequest",
    "Task",
    "Communication",
    "Appointment",
    "CarePlan",
)
"""What may be written, by others or at a click on a suggestion."""

_SUBJECTS: Final = ("subject", "patient", "beneficiary", "for")


class Store:
    """One EHR's resources."""

    def __init__(self, records: HospitalRecords) -> None:
        self.records: Final = records
        self._versions: dict[tuple[str, str], list[Resource]] = {}

    def read(self, kind: str, identifier: str) -> Resource:
        """The present version of a resource.

        Raises:
            FHIRError: 404 if there is none.
        """
        versions = self._versions.get((kind, identifier))
        found = versions[-1] if versions else self.records.read(kind, identifier)
        if found is None:
            raise FHIRError(404, "not-found", "There is no such resource.")
        return found

    def versions(self, kind: str, identifier: str) -> list[Resource]:
        """All versions that were written of a resource, the first one first."""
        return list(self._versions.get((kind, identifier), ()))

    def of_patient(self, kind: str, patient: str) -> list[Resource]:
        """All resources of a type about a patient."""
        known = self.records.of_patient(patient) if self.records.knows(patient) else {}
        held = [one for key, one in known.items() if key[0] == kind and key not in self._versions]
        return held + [one for one in self.written(kind) if patient_of(one) == patient]

    def written(self, kind: str) -> list[Resource]:
        """The present versions of all resources of a type that were written since the start."""
        return [versions[-1] for (its, _), versions in self._versions.items() if its == kind]

    def everything(self, kind: str) -> Iterator[Resource]:
        """What a search without a patient goes through: never the records of all patients."""
        yield from self.records.of_nobody(kind)
        yield from self.written(kind)

    def create(self, resource: Resource) -> Resource:
        """Write a new resource; its id is the EHR's, whatever it came with.

        Raises:
            FHIRError: if it is of a type that is not written here.
        """
        return self.put({**resource, "id": str(uuid.uuid4())})

    def put(self, resource: Resource) -> Resource:
        """Write the next version of a resource, under the id that it has.

        Raises:
            FHIRError: if it is of a type that is not written here.
        """
        kind = resource.get("resourceType", "")
        if kind not in WRITABLE:
            raise FHIRError(422, "not-supported", "Resources of this type are not written here.")
        versions = self._versions.setdefault((kind, str(resource["id"])), [])
        kept = copy.deepcopy(resource)
        # The id comes right after the type, as the specification's examples have it.
        kept = {"resourceType": kind, "id": kept.pop("id"), **kept}
        kept["meta"] = {
            **kept.get("meta", {}),
            "versionId": str(len(versions) + 1),
            "lastUpdated": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        versions.append(kept)
        return kept


def patient_of(resource: Resource) -> str | None:
    """The patient that a resource is about, by its reference."""
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    for name in _SUBJECTS:
        named = resource.get(name)
        reference = named.get("reference", "") if isinstance(named, dict) else ""
        kind, _, identifier = str(reference).rpartition("/")
        if kind.rpartition("/")[2] == "Patient":
            return identifier
    return None
