"""The authorisation matrix: every route, asked by every kind of caller, with real tokens."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from counted_months import counted_month
from fastapi import APIRouter, FastAPI
from hook_calls import call_of
from listed_patients import listed, put_on_the_list, stay_of
from trusting_service import OPTED_OUT, OTHER_UNIT, PATIENT, UNIT, Service, bundle_of

from service.cds_hooks.examples import FEEDBACK
from service.database import follow_ups, months
from service.events.examples import NOTIFICATION
from service.identity.access import (
    OpenToAll,
    Requirement,
    SignedIn,
    SubscriptionSecret,
    accesses,
    open_to_all,
    signed_in,
)
from service.identity.matrix import COLUMNS, ROUTES, page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "authorisation.md"


class Case(NamedTuple):
    """One route, asked by one kind of caller."""

    service: Service
    route: str
    column: str
    kept: dict[str, str]

    @property
    def patient(self) -> str:
        return OPTED_OUT if self.column == "opted-out patient" else PATIENT

    @property
    def version(self) -> int:
        """Of the patient's follow-up, as somebody sees it who looks now."""
        stay = stay_of(self.service.keeping, self.patient)
        with self.service.keeping.database.reading() as connection:
            row = follow_ups.of_stay(connection, stay)
        return 0 if row is None else row.version

    @property
    def named(self) -> str:
        """The patient of the case; data scientists know pseudonyms alone."""
        if self.column == "data_scientist":
            return self.service.pseudonym(self.patient)
        return self.patient

    @property
    def path(self) -> str:
        """The route's path, for the patient of the case."""
        named = self.named
        template = self.route.partition(" ")[2]
        return template.format(
            id=named,
            patient_id=named,
            score_id=self.kept[self.patient],
            service_id="readmission-risk-at-discharge",
            name="no-such-name",
            filter_id="0" * 32,
            stay=stay_of(self.service.keeping, self.patient),
        )


BODIES: dict[str, Callable[[Case], dict[str, Any]]] = {
    "POST /v1/score": lambda case: {"json": bundle_of(case.patient)},
    "POST /fhir/$readmission-risk": lambda case: {"json": bundle_of(case.patient)},
    "GET /fhir/RiskAssessment": lambda case: {"params": {"patient": case.named}},
    "POST /fhir/RiskAssessment/_search": lambda case: {"data": {"patient": case.named}},
    "POST /v1/patients/{patient_id}/break-glass": lambda case: {
        "json": {"reason": "covering_unit", "explanation": "On call for the unit tonight."}
    },
    "POST /risk/{score_id}/break-glass": lambda case: {
        "data": {"reason": "covering_unit", "explanation": "On call for the unit tonight."}
    },
    "POST /cds-services/{service_id}": lambda case: {"json": call_of(bundle_of(case.patient))},
    "POST /cds-services/{service_id}/feedback": lambda case: {"json": FEEDBACK},
    "POST /fhir/subscriptions/{name}": lambda case: {"json": NOTIFICATION},
    "POST /oauth/token": lambda case: {"data": {"grant_type": "client_credentials"}},
    "POST /v1/follow-ups/{stay}/changes": lambda case: {
        "json": {"version": case.version, "change": {"note": "Asked for a call in the morning."}}
    },
    "PUT /fhir/Task/{stay}": lambda case: {
        "json": {
            "resourceType": "Task",
            "meta": {"versionId": str(case.version)},
            "status": "requested",
            "intent": "plan",
            "note": [{"text": "Asked for a call in the evening."}],
        }
    },
    "POST /work-list/filters": lambda case: {
        "data": {"name": "High", "query": "band=high&status=new"}
    },
    "POST /follow-up/{stay}": lambda case: {
        "data": {"version": case.version, "note": "Asked for a call at noon."}
    },
    "POST /mcp": lambda case: {
        "json": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        "headers": {"Accept": "application/json, text/event-stream"},
    },
}
"""What is sent to a route that takes more than a path."""

TOKENS: dict[str, Callable[[Service, str, str], str | None]] = {
    "no token": lambda service, who, asks: None,
    "expired": lambda service, who, asks: service.person(
        "clinician", exp=int(time.time()) - 3600, subject=who
    ),
    "wrong issuer": lambda service, who, asks: service.person(
        "clinician", iss="https://elsewhere.example", subject=who
    ),
    "wrong audience": lambda service, who, asks: service.person(
        "clinician", aud="another-service", subject=who
    ),
    "wrong algorithm": lambda service, who, asks: service.signed_with_another_algorithm(),
    "system with scope": lambda service, who, asks: service.system(f"system/{asks}"),
    "system without": lambda service, who, asks: service.system("system/Immunization.cruds"),
    "other unit": lambda service, who, asks: service.person(
        "care_manager", units=[OTHER_UNIT], subject=who
    ),
    "other patient": lambda service, who, asks: service.person(
        "clinician", scope="patient/*.cruds", patient="example-somebody-else", subject=who
    ),
    "opted-out patient": lambda service, who, asks: service.person("clinician", subject=who),
}
"""The token of each kind of caller; of a role, a person who has it alone."""


KINDS: dict[type, str] = {
    OpenToAll: "open to all",
    SignedIn: "signed in",
    SubscriptionSecret: "the subscription's own secret",
}


@pytest.fixture(scope="module")
def kept(service: Service) -> dict[str, str]:
    """A score of each patient, given before the one of them opted out."""
    ids = {patient: service.kept(patient=patient) for patient in (PATIENT, OPTED_OUT)}
    keeping = service.keeping
    put_on_the_list(keeping, [listed(keeping, one, score_id=ids[one], unit=UNIT) for one in ids])
    with keeping.database.writing() as connection:
        months.put(connection, counted_month())
    service.opt_out.write_text(f"{OPTED_OUT}\n")
    return ids


def test_every_route_is_in_the_matrix_and_nothing_else(service: Service) -> None:
    assert {f"{one.method} {one.path}" for one in accesses(service.app)} == set(ROUTES)


def test_every_route_declares_one_access_and_the_matrix_says_which(service: Service) -> None:
    for method, path, access in accesses(service.app):
        name = f"{method} {path}"
        if path == "/openapi.json":  # FastAPI's own; everybody may know the interface
            continue
        assert access is not None, f"{name} declares no access, or more than one"
        if isinstance(access, Requirement):
            assert ROUTES[name].asks == str(access), name
        else:
            assert ROUTES[name].asks.startswith(KINDS[type(access)]), name


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("route", ROUTES)
def test_the_service_answers_as_the_matrix_says(
    service: Service, kept: dict[str, str], route: str, column: str
) -> None:
    case = Case(service, route, column, kept)
    # Each asks as somebody else: who breaks the glass in one case must not have in another.
    who = f"{column} of {route}"
    asks = ROUTES[route].asks if ROUTES[route].asks.count(".") == 1 else "RiskAssessment.r"
    token = TOKENS[column](service, who, asks) if column in TOKENS else service.person(column)
    more = BODIES[route](case) if route in BODIES else {}
    answer = service.ask(route.partition(" ")[0], case.path, token, **more)
    assert answer.status_code == ROUTES[route].answers[column], answer.text


def test_a_route_that_declares_nothing_or_two_things_is_found() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/forgotten")
    async def forgotten() -> None: ...

    @app.get("/undecided")
    async def undecided(
        _: Annotated[None, open_to_all("why")], caller: Annotated[Any, signed_in()]
    ) -> None: ...

    included = APIRouter()

    @included.get("/included")
    async def within(_: Annotated[None, open_to_all("why")]) -> None: ...

    app.include_router(included)
    found = {one.path: one.access for one in accesses(app)}
    assert (found["/forgotten"], found["/undecided"]) == (None, None)
    assert isinstance(found["/included"], OpenToAll)


def test_a_patient_who_opted_out_gets_no_number(service: Service, kept: dict[str, str]) -> None:
    answer = service.score(service.person("clinician"), bundle_of(OPTED_OUT)).json()
    assert (answer["status"], answer["reason"]["code"]) == ("not_scored", "opted_out")


def test_the_page_in_the_docs_is_the_matrix() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
