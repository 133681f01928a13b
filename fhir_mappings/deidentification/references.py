"""What a reference points to: the resource type and id that its pseudonym is made from.

Read as the mappings read them (``fhir_mappings.sources.reading``): relative, absolute, versioned,
``urn:uuid:`` and by a Bundle's ``fullUrl``. A conditional reference names a resource by what is
known of it, and is not kept.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fhir_mappings.records.bundles import last_segment

CONTAINED = "#"
"""Among the types that may be referred to: a resource inside the same one."""

_TYPE = re.compile(r"[A-Z][A-Za-z]+", re.ASCII)


class Named(NamedTuple):
    """A resource by type and id."""

    resource_type: str
    identifier: str


FullUrls = Mapping[str, Named]
"""The resources of a Bundle by the address that its entries give them."""


def referred(reference: Any, types: Sequence[str], full_urls: FullUrls) -> Named | None:
    """What a Reference points to, if that is one of these types.

    A reference that does not say its type is taken for the first of them.
    """
    text = reference.get("reference") if isinstance(reference, dict) else None
    if not isinstance(text, str) or "?" in text:
        return None
    if text.startswith(CONTAINED):
        inside = text[1:]
        return Named(CONTAINED, inside) if inside and CONTAINED in types else None
    named = full_urls.get(text) or _parsed(text, types[0])
    return named if named.identifier and named.resource_type in types else None


def _parsed(text: str, usual: str) -> Named:
    identifier = last_segment(text)
    if text.startswith("urn:"):
        return Named(usual, identifier)
    before = text.partition("/_history/")[0].rpartition("/")[0].rpartition("/")[2]
    return Named(before if _TYPE.fullmatch(before) else usual, identifier)
