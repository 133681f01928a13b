"""The web service, put together."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI

from service import VERSION, examples, openapi, problems, refusals
from service.events.worker import working
from service.identity.break_glass import GlassBroken, GlassRequest
from service.middleware import Surroundings
from service.pages.errors import error_page
from service.routes import (
    assistants,
    care,
    care_filters,
    care_follow_up,
    cds_hooks,
    disclosures,
    fhir,
    fhir_tasks,
    fhir_work_list,
    follow_ups,
    health,
    home,
    launch,
    metrics,
    model,
    model_card,
    month,
    oauth,
    patients,
    planning,
    risk,
    score,
    sign_in,
    subscriptions,
    work_list,
)
from service.score import NotScored, Scored
from service.score_list import PatientScores
from service.serving import Serving
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from training.risk_model import RiskModel

DESCRIPTION = """\
The risk that a patient comes back to hospital, unplanned, within 30 days of discharge: predicted
from FHIR R4 records and explained down to the record behind each reason.

Every error is `application/problem+json` (RFC 9457), below `/fhir` an OperationOutcome, and quotes
nothing of what was sent.
A probability is a fraction: 0.25 is 25 %.
"""


OBJECTS_BEFORE_COLLECTING: Final = 50_000
"""A record of half a megabyte makes some ten thousand objects, none of them in a cycle."""


def _spare_collector() -> None:
    """Keep the cycle collector from walking what was loaded, and from running in every request.

    What was loaded stays as long as the service; walking it again and again took longer than
    reading the record that set the collector off.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING)


def create_app(settings: Settings | None = None, risk_model: "RiskModel | None" = None) -> FastAPI:
    """Make the service.

    Args:
        settings: what the operator sets; read from the environment by default.
        risk_model: the model to serve; loaded when the service starts by default. Where loading
            fails, the service starts all the same and is not ready: it answers 503 with the
            reason.

    Raises:
        SettingsError: if a variable of the environment is not valid.
    """
    chosen = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.serving = Serving(chosen, risk_model)
        app.state.serving.record_start()
        # The first diagnosis loads the groups of all; no clinician should wait for that.
        app.state.serving.concepts.of("ICD10CM|I10")
        _spare_collector()
        async with working(app.state.serving):
            yield
        app.state.serving.keeping.close()

    # The interactive pages would fetch their scripts from other hosts: only /openapi.json remains.
    app = FastAPI(
        title="readmit",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=[
            {"name": "score", "description": "The risk of one stay."},
            {"name": "fhir", "description": "The risk as FHIR R4."},
            {"name": "patients", "description": "What one patient was told, and opening it."},
            {"name": "work list", "description": "Whom to follow up, and in which order."},
            {"name": "model", "description": "What speaks, and what it is made for."},
            {"name": "cds-hooks", "description": "CDS Hooks 2.0: cards where the EHR is."},
            {"name": "oauth", "description": "Tokens for systems (SMART Backend Services)."},
            {"name": "audit", "description": "Who was shown whose record."},
            {"name": "health", "description": "For whoever runs the service."},
        ],
        docs_url=None,
        redoc_url=None,
        # Behind a proxy the address would begin with http: whoever followed it would send the token
        # and the record again, unencrypted.
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(Surroundings, settings=chosen)
    problems.install(app, error_page)
    refusals.install(app, error_page)
    for routes in (
        *(score, fhir, fhir_work_list, fhir_tasks, cds_hooks, work_list, follow_ups, patients),
        *(
            model,
            disclosures,
            oauth,
            health,
            metrics,
            home,
            sign_in,
            launch,
            risk,
            month,
            planning,
            model_card,
            assistants,
            subscriptions,
        ),
        *(care, care_filters, care_follow_up),
    ):
        app.include_router(routes.router)
    openapi.install(
        app,
        (
            *(Scored, NotScored, PatientScores, GlassRequest, GlassBroken),
            *(model.ModelDescription, disclosures.Disclosures, *oauth.STRUCTS),
            *(health.Health, health.Readiness, *cds_hooks.STRUCTS, *work_list.STRUCTS),
            *(*follow_ups.STRUCTS, *month.STRUCTS, *planning.STRUCTS),
        ),
        examples.ANSWERS,
    )
    return app
