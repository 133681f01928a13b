"""What every route answers to whom: declared here route by route, driven by tests, and printed.

``tests/authorisation`` asks each route as each kind of caller and holds the answers to this table;
a route that is not in it fails. ``python -m service.identity.matrix`` prints it with the roles and
the fields that they see, for ``docs/reference/authorisation.md``.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from service.identity.break_glass import GlassReason
from service.identity.roles import ROLES, Role
from service.views import FIELDS, ROLE_VIEWS

WITHOUT_IDENTITY: Final = (
    "no token",
    "expired",
    "wrong issuer",
    "wrong audience",
    "wrong algorithm",
)
"""Callers whom nothing identifies."""

SYSTEMS: Final = ("system with scope", "system without")

NARROWED: Final = ("other unit", "other patient", "opted-out patient")
"""A care manager of another unit, a clinician whose token is for another patient, and a clinician
who asks for a patient who opted out. They have the scope, or the route is not theirs at all."""

COLUMNS: Final = (*WITHOUT_IDENTITY, *(role.value for role in Role), *SYSTEMS, *NARROWED)
"""Every kind of caller that every route is asked by."""


class Line(NamedTuple):
    """One route: what it asks for, and the status that each kind of caller gets."""

    asks: str
    """The scope; or why it is open to all, or that it is for whoever is signed in."""
    answers: dict[str, int]


def scope(asks: str, roles: str, *, gives: int = 200, **others: int) -> Line:
    """A route that asks for a scope.

    Args:
        asks: the scope.
        roles: the roles that have it, space-separated.
        gives: the status of its answer to whoever may.
        others: the status in other columns, by their names with underscores for spaces.
    """
    answers = dict.fromkeys(WITHOUT_IDENTITY, 401)
    answers |= {role.value: gives if role.value in roles.split() else 403 for role in Role}
    answers |= {"system with scope": gives, "system without": 403}
    clinician, manager = answers[Role.CLINICIAN], answers[Role.CARE_MANAGER]
    answers |= dict(zip(NARROWED, (manager, clinician, clinician), strict=True))
    return Line(asks, answers | _named(others))


def open_to_all(why: str, *, gives: int = 200) -> Line:
    """A route that asks nothing of its caller, and why."""
    return Line(f"open to all: {why}", dict.fromkeys(COLUMNS, gives))


def signed_in(*, gives: int = 200, **others: int) -> Line:
    """A route for whoever is identified."""
    answers = dict.fromkeys(COLUMNS, gives) | dict.fromkeys(WITHOUT_IDENTITY, 401)
    return Line("signed in", answers | _named(others))


def subscription_secret() -> Line:
    """A route for the notifications of an EHR's subscription: nobody else is let in."""
    return Line("the subscription's own secret", dict.fromkeys(COLUMNS, 401))


def _named(others: dict[str, int]) -> dict[str, int]:
    spelt = {column.replace("-", "_").replace(" ", "_"): column for column in COLUMNS}
    return {spelt[name]: status for name, status in others.items()}


OWN_404: Final = {"other_unit": 404, "other_patient": 404, "opted_out_patient": 404}
"""Of what was kept: not there and not for the caller are told alike."""

ROUTES: Final[dict[str, Line]] = {
    "POST /v1/score": scope(
        "RiskAssessment.c", "clinician care_manager", other_unit=403, other_patient=403
    ),
    "GET /v1/scores/{score_id}": scope(
        "RiskAssessment.r", "clinician care_manager data_scientist", **OWN_404
    ),
    "GET /v1/patients/{patient_id}/scores": scope(
        "RiskAssessment.s", "clinician care_manager data_scientist", **OWN_404
    ),
    "POST /fhir/$readmission-risk": scope(
        "RiskAssessment.c", "clinician care_manager", other_unit=403, other_patient=403
    ),
    "GET /fhir/RiskAssessment/{score_id}": scope(
        "RiskAssessment.r", "clinician care_manager data_scientist", **OWN_404
    ),
    # What is not for the caller is answered as FHIR answers what is not there: an empty page.
    "GET /fhir/RiskAssessment": scope("RiskAssessment.s", "clinician care_manager data_scientist"),
    "POST /fhir/RiskAssessment/_search": scope(
        "RiskAssessment.s", "clinician care_manager data_scientist"
    ),
    "POST /fhir/subscriptions/{name}": subscription_secret(),
    "GET /fhir/metadata": open_to_all("read before there is a token"),
    "GET /fhir/.well-known/smart-configuration": open_to_all("read before there is a token"),
    "GET /fhir/OperationDefinition/readmission-risk": open_to_all("read before there is a token"),
    # A list is of many: whose token is for one patient gets none. Of other units it shows nobody.
    "GET /v1/worklist": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /v1/worklist.csv": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /v1/worklist/capacity": scope("List.r", "clinician care_manager", other_patient=403),
    # Sums, of the caller's units; of other units they are of nobody.
    "GET /v1/month": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /month": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /v1/forecast": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /planning": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /fhir/List/work-list": scope("List.r", "clinician care_manager", other_patient=403),
    "GET /fhir/Group/work-list": scope("Group.r", "clinician care_manager", other_patient=403),
    # A follow-up is of a score: a system needs the scope to read that one, too.
    "GET /v1/follow-ups/{stay}": scope(
        "Task.r", "clinician care_manager", system_with_scope=403, **OWN_404
    ),
    "GET /v1/follow-ups/{stay}/changes": scope(
        "Task.r", "clinician care_manager", system_with_scope=403, **OWN_404
    ),
    "POST /v1/follow-ups/{stay}/changes": scope(
        "Task.u", "care_manager", gives=201, system_with_scope=403, other_unit=404
    ),
    "GET /fhir/Task/{stay}": scope(
        "Task.r", "clinician care_manager", system_with_scope=403, **OWN_404
    ),
    "PUT /fhir/Task/{stay}": scope("Task.u", "care_manager", system_with_scope=403, other_unit=404),
    # The same as pages. What somebody saved is theirs, and says nothing of a patient.
    "GET /work-list": scope("List.r", "clinician care_manager", other_patient=403),
    "POST /work-list/filters": signed_in(gives=303),
    "POST /work-list/filters/{filter_id}/delete": signed_in(gives=303),
    "GET /follow-up/{stay}": scope(
        "Task.r", "clinician care_manager", system_with_scope=403, **OWN_404
    ),
    "POST /follow-up/{stay}": scope(
        "Task.u", "care_manager", gives=303, system_with_scope=403, other_unit=404
    ),
    "POST /v1/patients/{patient_id}/break-glass": scope(
        "Consent.c",
        "clinician care_manager",
        gives=201,
        system_with_scope=403,
        other_patient=403,
    ),
    "GET /v1/patients/{id}/disclosures": scope("AuditEvent.s", "auditor"),
    "GET /v1/model": scope(
        "DocumentReference.r", "clinician care_manager data_scientist auditor administrator"
    ),
    "GET /cds-services": signed_in(),
    "POST /cds-services/{service_id}": scope(
        "RiskAssessment.c", "clinician care_manager", other_unit=403, other_patient=403
    ),
    "POST /cds-services/{service_id}/feedback": scope("RiskAssessment.c", "clinician care_manager"),
    "POST /oauth/token": open_to_all(
        "the assertion in its form identifies the system; this form has none", gives=400
    ),
    "GET /oauth/jwks": open_to_all("public keys are for everybody"),
    "GET /.well-known/smart-configuration": open_to_all("read before there is a token"),
    "GET /healthz": open_to_all("says nothing but that the process runs"),
    "GET /readyz": open_to_all("a load balancer asks it without a token"),
    "GET /metrics": scope("Device.r", "administrator"),
    "GET /": open_to_all("says what the service is, and to callers who they are"),
    "GET /model-card": open_to_all("whoever is scored may know by what; nothing of a patient"),
    "GET /assets/{name}": open_to_all("the look of the pages says nothing", gives=404),
    "GET /sign-in": open_to_all(
        "it begins to find out who asks; here no issuer lets people sign in", gives=404
    ),
    "GET /sign-in/callback": open_to_all(
        "it finds out who asks, by the code that they bring along; here they bring none", gives=400
    ),
    "GET /launch": open_to_all(
        "an EHR sends a browser that nobody knows yet; here it names no chart", gives=400
    ),
    "GET /launch/callback": open_to_all(
        "it finds out who asks, by the code that they bring along; here they bring none", gives=400
    ),
    "POST /sign-out": signed_in(gives=303),
    # Each tool asks one of the paths above with the same token.
    "POST /mcp": signed_in(),
    "GET /risk/{score_id}": scope(
        "RiskAssessment.r", "clinician care_manager data_scientist", **OWN_404
    ),
    "POST /risk/{score_id}/break-glass": scope(
        "Consent.c",
        "clinician care_manager",
        gives=303,
        system_with_scope=403,
        other_patient=403,
    ),
    "GET /openapi.json": open_to_all("the documentation of the interface; nothing of a patient"),
}
"""Every route of the service."""


def page() -> str:
    """The reference page, in Markdown."""
    return "\n".join([*_routes(), "", *_roles(), "", *_fields(), "", *_glass()]) + "\n"


def _routes() -> Iterator[str]:
    yield from (
        "# Who may do and see what",
        "",
        "<!-- Made by `make docs` from service/identity/matrix.py; do not edit. -->",
        "",
        "Every cell is a test: the route is asked by a caller of that kind, with a token of a real "
        "issuer, and answers this status.",
        "",
    )
    yield from _table(
        ("route", "asks for", *COLUMNS),
        ((f"`{route}`", line.asks, *map(str, _cells(line))) for route, line in ROUTES.items()),
    )
    yield from (
        "",
        "*Other unit* is a care manager of another unit than the stay's, *other patient* a "
        "clinician whose token is for another patient, *opted-out patient* a clinician who asks "
        "for a patient who does not want to be scored: `POST /v1/score` tells them so "
        "(`not_scored`) and gives no number. Of what was kept, 404 says both that there is no such "
        "thing and that it is not for the caller. A stay whose unit no record names is in no care "
        "manager's unit.",
    )


def _cells(line: Line) -> list[int]:
    return [line.answers[column] for column in COLUMNS]


def _roles() -> Iterator[str]:
    yield from ("## Roles", "")
    yield from _table(
        ("role", "why", "scopes", "purposes of use", "units", "view of a score"),
        (
            (
                f"`{role.value}`",
                found.why,
                ", ".join(f"`{scope}`" for scope in found.scopes),
                ", ".join(f"`{purpose.value}`" for purpose in found.purposes),
                "all" if found.every_unit else "the token's",
                (ROLE_VIEWS[role] or "none").replace("_", " "),
            )
            for role, found in ROLES.items()
        ),
    )
    yield from (
        "",
        "A request names its purpose in the header `Purpose-Of-Use`, or its token does in the "
        "claim `purpose_of_use`; the first of the role is assumed where neither does, and one that "
        "the role does not have is refused. A system may name any. Of several roles, those count "
        "that grant the access and reach the stay's unit, and the widest view of them.",
    )


def _fields() -> Iterator[str]:
    yield from (
        "## What is seen without identity",
        "",
        "The whole view shows every field. A data scientist's shows:",
        "",
    )
    yield from _table(
        ("answer", "field", "without identity"),
        (
            (f"`{struct.__name__}`", f"`{name}`", treatment.name)
            for struct, fields in FIELDS.items()
            for name, treatment in fields.items()
        ),
    )
    yield from (
        "",
        "A pseudonym is a keyed HMAC, the same in every answer; a data scientist lists the scores "
        "of a patient by it, and never by the patient's id. *Year*: of every date in it, only the "
        "year remains. Ages above 89 are one group. It is not de-identified data: "
        "`readmit export` makes that.",
    )


def _glass() -> Iterator[str]:
    yield from (
        "## Breaking the glass",
        "",
        "A clinician or a care manager opens one patient's stays of all units to themselves for "
        "`READMIT_BREAK_GLASS_MINUTES`, with a reason ("
        + ", ".join(f"`{reason.value}`" for reason in GlassReason)
        + ") and an explanation that is kept sealed. What is seen through it is in the audit with "
        "the purpose `ETREAT`. It does not lift an opt-out: the patient refused a prediction, not "
        "a treatment, and no emergency needs to know the risk of a readmission. It does not widen "
        "a token that is for one patient.",
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    for cells in (names, ["---"] * len(names), *rows):
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201  it is made to be written to a file
