"""The records of a call: every shape that a real prefetch takes, made into one Bundle.

A key may be missing (the EHR could not fill it), ``null`` (there is no data), a resource, a
Bundle, the first page of one, or an OperationOutcome (its search failed). What is missing, failed
or goes on is fetched from the EHR's server where the call gives access to it.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import anyio
import msgspec
from msgspec import Raw

from fhir_mappings.errors import ReadmitError
from service.cds_hooks.services import PREFETCH, REQUIRED
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import FHIRServer, next_page

_TOKEN: Final = re.compile(r"\{\{([A-Za-z.]+)\}\}")
_NULL: Final = b"null"


class LackingDataError(ReadmitError):
    """The call does not hold the records that a risk is made of, and they cannot be fetched."""

    status = 412
    title = "Records are lacking"


class _Entry(msgspec.Struct):
    resource: Raw = Raw(b"")


class _Resource(msgspec.Struct, rename="camel"):
    """As much of a resource as tells what it is."""

    resource_type: str = ""
    entry: list[_Entry] = []


class Prefetched(NamedTuple):
    """What a call holds, and what it lacks."""

    held: dict[str, list[bytes]]
    """By key: the resources, each as it came."""
    lacking: tuple[str, ...]
    """Keys whose search is to be made by us."""
    going_on: dict[str, str]
    """Keys of which there is a further page, with its link."""


def take_apart(prefetch: dict[str, Raw] | None) -> Prefetched:
    """Sort what came by what it is. A key that we did not ask for is passed over."""
    held: dict[str, list[bytes]] = {}
    lacking: list[str] = []
    going_on: dict[str, str] = {}
    for key in PREFETCH:
        raw = bytes((prefetch or {}).get(key, Raw(b"")))
        if not raw or (raw == _NULL and key in REQUIRED):
            lacking.append(key)
            continue
        if raw == _NULL:
            held[key] = []
            continue
        found = resources_of(raw)
        if found is None:
            lacking.append(key)
            continue
        held[key] = found
        if (link := next_page(raw)) is not None:
            going_on[key] = link
    return Prefetched(held, tuple(lacking), going_on)


def resources_of(raw: bytes) -> list[bytes] | None:
    """The resources in an answer; None where it is an OperationOutcome, or no FHIR at all."""
    try:
        found = msgspec.json.decode(raw, type=_Resource)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if found.resource_type in ("", "OperationOutcome"):
        return None
    if found.resource_type != "Bundle":
        return [raw]
    # A searchset may hold an OperationOutcome with what the server wants to say about the search.
    return [bytes(entry.resource) for entry in found.entry if _is_record(bytes(entry.resource))]


def _is_record(raw: bytes) -> bool:
    if not raw:
        return False
    try:
        kind = msgspec.json.decode(raw, type=_Resource).resource_type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return True  # the reader says what is wrong with it
    return kind != "OperationOutcome"


async def completed(
    prefetched: Prefetched, filled: dict[str, str], server: FHIRServer | None
) -> list[bytes]:
    """All records of a call: those that came, and those that are fetched.

    Args:
        prefetched: what came.
        filled: what the templates' tokens stand for.
        server: the EHR's server; None where the call gives no access to it.

    Raises:
        LackingDataError: if something lacks that can be fetched from nowhere, or the server does
            not give it.
    """
    wanted = {key: template(PREFETCH[key], filled) for key in prefetched.lacking}
    if (wanted or prefetched.going_on) and server is None:
        keys = ", ".join([*wanted, *prefetched.going_on])
        raise LackingDataError(f"prefetch: {keys} lacking, and no fhirServer to fetch from")
    fetched: dict[str, list[bytes]] = {}

    async def fetch(key: str, query: str) -> None:
        assert server is not None  # noqa: S101  seen to above
        pages = await (server.follow if key in prefetched.going_on else server.search)(query)
        found = [resources_of(one) for one in pages]
        if any(one is None for one in found):
            raise LackingDataError(f"prefetch: {key} cannot be fetched either")
        fetched[key] = [resource for one in found for resource in one or []]

    try:
        async with anyio.create_task_group() as group:
            for key, query in wanted.items():
                group.start_soon(fetch, key, query)
            for key, link in prefetched.going_on.items():
                group.start_soon(fetch, key, link)
    except* (FHIRServerError, LackingDataError) as failures:
        first = failures.exceptions[0]
        raise LackingDataError(f"prefetch: {first}") from None
    every = [*prefetched.held.values(), *fetched.values()]
    return [resource for one in every for resource in one]


def template(text: str, filled: dict[str, str]) -> str:
    """A prefetch template with its tokens filled in."""
    return _TOKEN.sub(lambda found: filled[found[1]], text)


def as_bundle(resources: Iterable[bytes]) -> bytes:
    """Records as one Bundle, for the one reader that all records go through."""
    entries = b",".join(b'{"resource":' + one + b"}" for one in resources)
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"
