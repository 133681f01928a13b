"""Consents in an export: who said no is not in it, and what is written permits no more than read.

A Consent is written as ``fhir_mappings.sources.consent`` reads it, and not as it stands: what the
allow-list drops of it (an actor, an exception nested deeper) would leave a permission wider.
"""

from collections.abc import Collection
from typing import Any

import msgspec

from fhir_mappings.consent import OptOuts, Use, refuses
from fhir_mappings.deidentification.references import FullUrls, Named
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.reading import Mapped, map_record, refusal_left
from fhir_mappings.records.datatypes import Period
from fhir_mappings.records.decoding import Rejected, decode, unread
from fhir_mappings.records.resources import Consent
from fhir_mappings.sources.consent import answers
from fhir_mappings.sources.reading import Reading

Json = dict[str, Any]

_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PURPOSES: dict[Use, str] = {"scoring": "TREAT", "training": "HRESCH"}
"""How each use is written: a purpose that is read as it, and as no other."""

_encode = msgspec.json.Encoder().encode


class Consents:
    """What the Consents of an export say.

    Args:
        profile: the site's.
        opt_outs: the site's list, and the moment of use.
    """

    def __init__(self, profile: SiteProfile, opt_outs: OptOuts) -> None:
        self._profile = profile
        self._opt_outs = opt_outs
        self._latest: dict[str, Mapped] = {}

    def survey(self, named: Named, resource: Json, full_urls: FullUrls) -> None:
        """Take notice of what a Consent says; of several versions of one, the latest counts."""
        if named.resource_type != "Consent":
            return
        reading = self._reading(full_urls)
        record = self._read(named, resource)
        if isinstance(record, Consent):
            left = record if record.id else unread(record)
            mapped = None if left is None else map_record(left, reading)
        else:
            mapped = None if record.consent is None else refusal_left(record.consent, reading)
        if mapped is None:
            return
        before = self._latest.get(mapped.source)
        if before is None or before.updated <= mapped.updated:
            self._latest[mapped.source] = mapped

    def refusing(self, patients: Collection[str]) -> frozenset[str]:
        """Who of these patients refuses to be learned from, which is what an export is for."""
        events = [event for mapped in self._latest.values() for event in mapped.events]
        said: dict[str, list[Any]] = {patient: [] for patient in patients}
        for event in events:
            if event.subject in said:
                said[event.subject].append(event)
        return frozenset(
            patient
            for patient, theirs in said.items()
            if refuses(patient, theirs, "training", self._opt_outs)
        )

    def as_read(self, named: Named, resource: Json, full_urls: FullUrls) -> Json:
        """A Consent whose rules are those that are read, by use; any other resource as it is.

        A permission for a period is left out: only its years would be told.
        """
        if named.resource_type != "Consent":
            return resource
        written = {name: content for name, content in resource.items() if name != "provision"}
        record = self._read(named, resource)
        found = answers(record, self._reading(full_urls)) if isinstance(record, Consent) else {}
        denied = [
            _provision("deny", (use,), period)
            for (use, answer), period in found.items()
            if answer == "deny"
        ]
        permitted = [
            use
            for (use, answer), period in found.items()
            if answer == "permit" and (period is None or not (period.start or period.end))
        ]
        root: Json = _provision("permit", permitted, None) if permitted else {}
        if denied:
            root["provision"] = denied
        return written | ({"provision": root} if root else {})

    def _read(self, named: Named, resource: Json) -> Consent | Rejected:
        read = decode(_encode(resource | {"id": named.identifier}))
        assert isinstance(read, Consent | Rejected)  # noqa: S101  that is its type
        return read

    def _reading(self, full_urls: FullUrls) -> Reading:
        return Reading(self._profile, {url: named.identifier for url, named in full_urls.items()})


def _provision(answer: str, uses: Collection[Use], period: Period | None) -> Json:
    provision: Json = {
        "type": answer,
        "purpose": [{"system": _SYSTEM, "code": _PURPOSES[use]} for use in uses],
    }
    if period is not None:
        told = {"start": period.start, "end": period.end}
        provision["period"] = {name: text for name, text in told.items() if text is not None}
    return provision
