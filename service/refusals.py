"""Every refusal of a known caller is entered in the audit, here and nowhere else.

A route raises ``ForbiddenError``; this is what answers it. A refusal that cannot be entered is
answered as the audit's failure instead.

An unknown caller's 401 is not entered: there is nobody to name, and anybody on the network could
fill the disk with entries. The access log and the metrics count them.
"""

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from fhir_mappings.errors import ReadmitError
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.identity.access import Requirement, requirement_of
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.problems import answer, problem_of
from service.serving import serving


def install(app: FastAPI) -> None:
    """Have every refusal of ``app`` entered in the audit before it is answered."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ForbiddenError)  # noqa: S101  the type that it is registered for
        entry = refusal(request)
        try:
            if entry is not None:
                here = serving(request)
                await here.compute(lambda: here.keeping.audit.record(entry))
        except ReadmitError as failure:
            return answer(problem_of(failure))
        return answer(problem_of(error))

    app.add_exception_handler(ForbiddenError, refused)


def refusal(request: Request) -> Entry | None:
    """What is entered of a refusal; None where no caller was identified.

    It tells a caller who may not do this at all (``scope``) from one who may, but not to this
    record (``record``): another unit's patient, or another patient than the token is for.
    """
    caller = getattr(request.state, "caller", None)
    route = request.scope.get("route")
    if not isinstance(caller, Caller) or not isinstance(route, APIRoute):
        return None
    declared = requirement_of([one.call for one in route.dependant.dependencies])
    needed = str(declared) if isinstance(declared, Requirement) else None
    lacks_scope = isinstance(declared, Requirement) and not caller.may(
        declared.resource, declared.permission
    )
    return Entry(
        event=Event.ACCESS_REFUSED,
        caller=caller,
        outcome="refused",
        route=route.path,
        details={"needed": needed, "why": "scope" if lacks_scope else "record"},
    )
