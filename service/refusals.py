"""Every refusal of a known caller is entered in the audit, here and nowhere else.

A route raises ``ForbiddenError``; this is what answers it. A refusal that cannot be entered is
answered as the audit's failure instead.

An unknown caller's 401 is not entered: there is nobody to name, and anybody on the network could
fill the disk with entries. The access log and the metrics count them.
"""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from fhir_mappings.errors import ReadmitError
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.identity.access import Requirement, requirement_of
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.problems import Problem, answer, problem_of
from service.serving import serving


def install(app: FastAPI, as_page: Callable[[Request, Problem], Response | None]) -> None:
    """Have every refusal of ``app`` entered in the audit before it is answered.

    Args:
        app: the service.
        as_page: gives the answer as a page; None where a problem is to be sent.
    """

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ForbiddenError)  # noqa: S101  the type that it is registered for
        entry = refusal(request, error)
        try:
            if entry is not None:
                here = serving(request)
                await here.compute(lambda: here.keeping.audit.record(entry))
        except ReadmitError as failure:
            return answer(problem_of(failure), path=request.scope["path"])
        problem = problem_of(error)
        return as_page(request, problem) or answer(problem, path=request.scope["path"])

    app.add_exception_handler(ForbiddenError, refused)


def refusal(request: Request, error: ForbiddenError) -> Entry | None:
    """What is entered of a refusal; None where no caller was identified."""
    caller = getattr(request.state, "caller", None)
    route = request.scope.get("route")
    if not isinstance(caller, Caller) or not isinstance(route, APIRoute):
        return None
    declared = requirement_of([one.call for one in route.dependant.dependencies])
    return Entry(
        event=Event.ACCESS_REFUSED,
        caller=caller,
        outcome="refused",
        patient=error.patient,
        route=route.path,
        details={
            "needed": str(declared) if isinstance(declared, Requirement) else None,
            "why": error.why,
        },
    )
