"""What a route asks of its caller, as a typed dependency. A route without one fails the tests."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts

from service.identity.caller import Caller
from service.identity.errors import ForbiddenError, UnauthenticatedError
from service.identity.identify import identify
from service.identity.issuers import PairedServer
from service.identity.purpose import HEADER, with_purpose
from service.serving import serving


class Requirement:
    """The access that a route needs: one kind, to one type of resource.

    It is called by FastAPI before the route, and so before any of the body is read.
    """

    def __init__(self, resource: str, permission: str) -> None:
        self.resource: Final = resource
        self.permission: Final = permission

    async def __call__(self, request: Request) -> Caller:
        """Identify the caller, check the access and settle what it is for.

        Raises:
            UnauthenticatedError: if nobody is identified.
            ForbiddenError: if the caller may not do this, or not for this purpose.
            RateError: if the caller asked too often.
        """
        caller = await _identified(request)
        if not caller.may(self.resource, self.permission):
            raise ForbiddenError(f"This needs the scope {self}.", why="scope")
        granting = caller.granting(self.resource, self.permission)
        caller = with_purpose(caller, granting, request.headers.getlist(HEADER))
        request.state.caller = caller
        return caller

    def __str__(self) -> str:
        return f"{self.resource}.{self.permission}"


class OpenToAll:
    """A route that asks nothing of its caller, with the reason why it may."""

    def __init__(self, why: str) -> None:
        self.why: Final = why

    async def __call__(self) -> None:
        """Let everybody in."""


class SignedIn:
    """A route for whoever is identified, whatever they may do: their own account."""

    async def __call__(self, request: Request) -> Caller:
        """Identify the caller.

        Raises:
            UnauthenticatedError: if nobody is identified.
            RateError: if the caller asked too often.
        """
        return await _identified(request)


class SubscriptionSecret:
    """A route for an EHR's notifications: the bearer value of the subscription that it names.

    R4's Subscription can send nothing but a fixed header. The operator's file has the hash of its
    value; nobody else's token opens the route, and the value opens no other.
    """

    async def __call__(self, request: Request) -> PairedServer:
        """Say which EHR's server tells of events.

        Raises:
            UnauthenticatedError: if there is no such subscription, or this is not its value.
        """
        named = request.path_params.get("name")
        sent = request.headers.getlist("authorization")
        scheme, _, value = (sent[0] if len(sent) == 1 else "").partition(" ")
        hashed = hashlib.sha256(value.strip().encode()).hexdigest()
        for server in serving(request).trusted.fhir_servers:
            expected = server.subscription_secret_sha256
            if expected is None or server.name != named:
                continue
            if scheme.lower() == "bearer" and hmac.compare_digest(hashed, expected):
                return server
        raise UnauthenticatedError


async def _identified(request: Request) -> Caller:
    caller = await identify(request)
    request.state.caller = caller
    serving(request).rates.take(caller)
    return caller


def requires(resource: str, permission: str) -> Any:
    """The caller, if they may do this; the type of a route's parameter ``caller``."""
    return Depends(Requirement(resource, permission))


def open_to_all(why: str) -> Any:
    """Nothing is asked of the caller, and why that may be."""
    return Depends(OpenToAll(why))


def signed_in() -> Any:
    """Whoever is identified, whatever they may do."""
    return Depends(SignedIn())


def subscription_secret() -> Any:
    """The EHR's server whose subscription notifies; the type of a route's parameter ``server``."""
    return Depends(SubscriptionSecret())


Access = Requirement | OpenToAll | SignedIn | SubscriptionSecret
"""What a route may declare."""


def requirement_of(dependencies: list[Callable[..., Any] | None]) -> Access | None:
    """The one declaration among a route's dependencies; None where it declares nothing."""
    declared = [one for one in dependencies if isinstance(one, Access)]
    return declared[0] if len(declared) == 1 else None


class RouteAccess(NamedTuple):
    """One route of the service and what it asks of its caller."""

    method: str
    path: str
    """The template."""
    access: Access | None
    """None where it declares nothing, or more than one thing."""


def accesses(app: FastAPI) -> Iterator[RouteAccess]:
    """Every route of an app, of included routers too, with what it declares."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        called = (
            [dependency.call for dependency in route.dependant.dependencies]
            if isinstance(route, APIRoute)
            else []
        )
        for method in sorted((context.methods or {"GET"}) - {"HEAD"}):
            yield RouteAccess(method, context.path or "", requirement_of(called))
