"""The EHRs' servers, asked by the service itself: with its own access, as a caller of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.events.attempts import GivenUpError
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import FHIRServer
from service.identity.caller import Caller
from service.identity.issuers import PairedServer
from service.identity.purpose import with_purpose
from service.identity.scopes import Scope
from service.serving import Serving


def named(here: Serving, name: str) -> PairedServer:
    """The server of a name.

    Raises:
        GivenUpError: if the operator's file has none any more.
    """
    for server in here.trusted.fhir_servers:
        if server.name == name:
            return server
    raise GivenUpError("server_unknown")


def caller_of(server: PairedServer) -> Caller:
    """Who asks where an EHR's event leads to a score: a system of that EHR's issuer."""
    system = Caller(
        way="bearer",
        issuer=server.issuer,
        subject=server.name or "",
        client=server.name,
        scopes=(Scope("system", "RiskAssessment", "c"),),
    )
    return with_purpose(system, (), ())


@asynccontextmanager
async def opened(here: Serving, server: PairedServer) -> AsyncIterator[FHIRServer]:
    """A server, with an access token of our own where the operator says how to get one.

    Raises:
        EHRTokenError: if the EHR gives none.
    """
    token = None
    if server.backend_token_endpoint is not None and server.backend_client_id is not None:
        token = await here.ehr_tokens.access_token(
            server.backend_token_endpoint, server.backend_client_id, server.backend_scopes
        )
    asked = FHIRServer(server.url, token, vouched=server.addresses, breaker=here.breaker)
    try:
        yield asked
    except FHIRServerError as error:
        if error.answered == 401 and token is not None:
            here.ehr_tokens.forget(token)
        raise
    finally:
        await asked.close()
