"""From a call to one Bundle of its records: prefetched, or fetched from the EHR's own server.

``fhirServer`` is what the caller says. It is asked only where the operator has paired it with the
caller's issuer; any other is as if none were given, and nothing connects to it.
"""

import anyio

from service.cds_hooks.call import HookCall, tokens
from service.cds_hooks.named_drugs import lacking_drugs, named_drugs
from service.cds_hooks.prefetch import (
    LackingDataError,
    Prefetched,
    as_bundle,
    completed,
    take_apart,
)
from service.fhir_servers.addresses import FHIRServerError, same_server
from service.fhir_servers.client import FHIRServer
from service.identity.caller import Caller
from service.identity.issuers import PairedServer
from service.serving import Serving


async def bundle_of(here: Serving, caller: Caller, call: HookCall) -> bytes:
    """All records of a call.

    Raises:
        LackingDataError: if they are not all there and cannot be fetched within the deadline.
    """
    prefetched = take_apart(call.prefetch)
    to_fetch = (
        prefetched.lacking
        or prefetched.going_on
        or lacking_drugs(one for every in prefetched.held.values() for one in every)
    )
    server = server_of(here, caller, call) if to_fetch else None
    within = here.settings.fhir_deadline_seconds
    return await gathered(prefetched, tokens(call), server, within=within)


async def gathered(
    prefetched: Prefetched, filled: dict[str, str], server: FHIRServer | None, *, within: float
) -> bytes:
    """What came and what is fetched, as one Bundle; the server is let go of.

    Drugs that are named by reference come last: if time is over by then, the answer does without.

    Args:
        prefetched: what came.
        filled: what the templates' tokens stand for.
        server: the EHR's server; None where there is no access to it.
        within: seconds.

    Raises:
        LackingDataError: if they are not all there and cannot be fetched in time.
    """
    resources: list[bytes] | None = None
    try:
        with anyio.move_on_after(within):
            resources = await completed(prefetched, filled, server)
            if server is not None:
                resources = [*resources, *await named_drugs(resources, server)]
        if resources is None:
            raise LackingDataError("prefetch: fhirServer does not give the rest in time")
    finally:
        if server is not None:
            await server.close()
    return as_bundle(resources)


def server_of(here: Serving, caller: Caller, call: HookCall) -> FHIRServer | None:
    """The EHR's server, where the caller may have it asked; nothing connects yet."""
    paired = paired_with(here.trusted.fhir_servers, caller.issuer, call.fhir_server)
    if paired is None:
        return None
    authorization = call.fhir_authorization
    return FHIRServer(
        paired.url,
        None if authorization is None else authorization.access_token,
        vouched=paired.addresses,
        breaker=here.breaker,
    )


def paired_with(
    servers: tuple[PairedServer, ...], issuer: str, named: str | None
) -> PairedServer | None:
    """The server that a call names, if the operator paired it with the issuer of the call."""
    if named is None:
        return None
    for server in servers:
        try:
            if server.issuer == issuer and same_server(server.url, named):
                return server
        except FHIRServerError:
            return None  # what was named is no base URL
    return None
