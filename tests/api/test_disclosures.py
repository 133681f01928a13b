"""An accounting of disclosures; refusals are entered; and nothing is answered without an entry."""

import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from each_database import on_sqlite_alone
from fastapi.routing import APIRoute
from hook_calls import DISCHARGE, call_of
from listed_patients import listed, put_on_the_list, stay_of
from sqlalchemy import event

from fhir_mappings.records.instants import from_datetime
from service import examples
from service.audit import disclosures, ledger
from service.audit.ledger import Audit, Entry
from service.audit.verify import verify
from service.audit.vocabulary import EVENTS, Event
from service.cds_hooks.showing import PATIENT_CONTEXT
from service.database import cards, follow_ups
from service.database.audit_entries import Row, entries
from service.identity import access
from service.identity.access import Requirement, requirement_of
from service.identity.caller import DEVELOPER, Caller
from service.identity.roles import Purpose, Role
from service.identity.scopes import parse_scopes
from service.protection.sealing import seal

SERVICE = Path(access.__file__).parents[1]
PATH = "/v1/patients/{}/disclosures"


def audit_of(client: Any) -> Audit:
    kept: Audit = client.app.state.serving.keeping.audit
    return kept


def rows(client: Any) -> list[Row]:
    """What was entered since the service started, which is an entry of its own."""
    with audit_of(client).database.reading() as connection:
        every = list(entries(connection))
    assert every[0].event == Event.SERVICE_STARTED
    return [row for row in every if row.event != Event.SERVICE_STARTED]


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def asking_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[Caller], None]:
    """Have every request come from one caller."""

    def be(caller: Caller) -> None:
        async def identified(_: object) -> Caller:
            return caller

        monkeypatch.setattr(access, "identify", identified)

    return be


def person(role: Role, **more: Any) -> Caller:
    return Caller(
        way="bearer", issuer="https://id.example.org", subject="b.example", roles={role}, **more
    )


def test_a_score_is_in_the_accounting_of_its_patient(client_with: Any) -> None:
    client = client_with()
    subject = client.score().json()["subject"]
    answer = client.get(PATH.format(subject)).json()
    assert answer["next"] is None
    (given,) = answer["disclosures"]
    assert given["event"] == "score_given"
    assert given["description"] == EVENTS[Event.SCORE_GIVEN].meaning
    assert given["recipient"]["who"] == DEVELOPER.subject
    assert given["purpose"] == "TREAT"
    assert given["must_be_accounted_for"] is False
    assert datetime.fromisoformat(given["at"]).tzinfo is not None


def test_reading_the_accounting_is_in_the_next_one(client_with: Any) -> None:
    client = client_with()
    client.get(PATH.format("p"))
    answer = client.get(PATH.format("p")).json()
    assert [one["event"] for one in answer["disclosures"]] == ["disclosures_read"]
    assert len(rows(client)) == 2


def test_an_accounting_tells_nothing_of_another_patient(client_with: Any) -> None:
    client = client_with()
    client.score()
    assert client.get(PATH.format("somebody-else")).json()["disclosures"] == []


def test_pages_follow_each_other_without_gap_or_repetition(client_with: Any) -> None:
    client = client_with()
    for _ in range(7):
        client.score()
    subject = client.score().json()["subject"]
    numbers: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(5):
        page = client.get(PATH.format(subject), params={"count": "3", **cursor}).json()
        numbers += [one["at"] for one in page["disclosures"] if one["event"] == "score_given"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(numbers) == len(set(numbers)) == 8
    assert numbers == sorted(numbers, reverse=True)


def test_the_accounting_goes_six_years_back_and_no_further(client_with: Any) -> None:
    client = client_with()
    audit, now = audit_of(client), datetime.now(UTC)
    six_years = disclosures.since(now)

    class Clock:
        @staticmethod
        def now(_: object) -> datetime:
            return moment

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ledger, "datetime", Clock)
        for years, day in ((6, 1), (7, 0)):
            moment = now.replace(year=now.year - years, day=15)
            patched.setattr(ledger, "from_datetime", lambda _, d=day: six_years + d * 10**6 - 1 + d)
            audit.record(Entry(event=Event.SCORE_READ, caller=DEVELOPER, patient="p"))
    answer = client.get(PATH.format("p")).json()
    assert [one["event"] for one in answer["disclosures"]] == ["score_read"]
    assert from_datetime(datetime.fromisoformat(answer["since"])) <= from_datetime(now)


def test_six_years_before_a_29th_of_february_is_a_day(client: Any) -> None:
    began = disclosures.since(datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert began == from_datetime(datetime(2022, 2, 28, 12, tzinfo=UTC))


def test_research_must_be_accounted_for(
    client_with: Any, asking_as: Callable[[Caller], None]
) -> None:
    client = client_with()
    audit_of(client).record(
        Entry(
            event=Event.SCORE_READ,
            caller=person(Role.DATA_SCIENTIST, purpose=Purpose.RESEARCH),
            patient="p",
        )
    )
    (read,) = client.get(PATH.format("p")).json()["disclosures"]
    assert read["must_be_accounted_for"] is True


@pytest.mark.parametrize("cursor", ["-1", "1e3", "٣", "x", "1;2"])
def test_a_cursor_that_is_not_ours_is_refused(client: Any, cursor: str) -> None:
    answer = client.get(PATH.format("p"), params={"cursor": cursor})
    assert answer.status_code == 422
    assert cursor not in answer.text.replace("cursor:", "") or cursor in ("x", "-1")


def test_who_may_not_read_an_audit_is_refused_and_that_is_entered(
    client_with: Any, asking_as: Callable[[Caller], None]
) -> None:
    client = client_with()
    asking_as(person(Role.CLINICIAN))
    answer = client.get(PATH.format("p"))
    assert answer.status_code == 403
    (entered,) = rows(client)
    assert (entered.event, entered.outcome) == ("access_refused", "refused")
    assert entered.actor == "b.example"
    assert entered.route == PATH.format("{id}")
    assert entered.details == '{"needed":"AuditEvent.s","why":"scope"}'


def test_a_token_for_one_patient_reads_no_other_and_that_is_entered(
    client_with: Any, asking_as: Callable[[Caller], None]
) -> None:
    client = client_with()
    asking_as(person(Role.AUDITOR, scopes=parse_scopes("patient/AuditEvent.s"), patient="p"))
    assert client.get(PATH.format("p")).status_code == 200
    assert client.get(PATH.format("q")).status_code == 403
    assert rows(client)[-1].details == '{"needed":"AuditEvent.s","why":"patient"}'


def test_a_refusal_that_cannot_be_entered_is_not_answered_as_one(
    client_with: Any, asking_as: Callable[[Caller], None]
) -> None:
    client = client_with()
    audit_of(client).record(Entry(event=Event.SIGNED_OUT, caller=DEVELOPER))
    audit_of(client).anchor.unlink()
    asking_as(person(Role.CLINICIAN))
    assert client.get(PATH.format("p")).status_code == 503


def test_an_unknown_caller_is_refused_without_an_entry(client_with: Any) -> None:
    client = client_with()
    assert client.get(PATH.format("p"), headers={"Authorization": "Bearer x"}).status_code == 401
    assert rows(client) == []


PATIENT = examples.BUNDLE["entry"][0]["resource"]["id"]


def prepared(client: Any) -> int:
    """With a score on record, that can be read; how many entries there are then."""
    answer = client.score()
    assert answer.status_code == 200
    client.kept = answer.json()["score_id"]
    client.card = shown_card(client)
    keeping = client.app.state.serving.keeping
    put_on_the_list(keeping, [listed(keeping, PATIENT)])
    client.stay = stay_of(keeping, PATIENT)
    return len(rows(client))


def shown_card(client: Any) -> str:
    """A card that was shown to whoever asks here."""
    keeping = client.app.state.serving.keeping
    row = cards.ShownCard(
        card=str(uuid.uuid4()),
        score_id=client.kept,
        service="readmission-risk-at-discharge",
        issuer=DEVELOPER.issuer,
        user_index="0" * 64,
        patient_sealed=seal(keeping.keys, PATIENT, PATIENT_CONTEXT),
        stay_index="0" * 64,
        number=1,
        unit=None,
        band="high",
        shown_at=0,
    )
    with keeping.database.writing() as connection:
        assert cards.enter_shown(connection, row)
    return row.card


def hook_call(client: Any) -> Any:
    """A call below the band of any card: the entry of the score is the only one."""
    client.app.state.serving.model.band = lambda probability: "low"
    return client.request("POST", DISCHARGE, json=call_of(examples.BUNDLE))


def feedback(client: Any) -> Any:
    report = {
        "card": client.card,
        "outcome": "overridden",
        "outcomeTimestamp": "2026-03-09T12:00:00Z",
    }
    return client.request("POST", f"{DISCHARGE}/feedback", json={"feedback": [report]})


def version_of(client: Any) -> int:
    """Of the follow-up, as somebody sees it who looks now."""
    with client.app.state.serving.keeping.database.reading() as connection:
        row = follow_ups.of_stay(connection, client.stay)
    return 0 if row is None else row.version


def note_added(client: Any) -> Any:
    path = f"/v1/follow-ups/{client.stay}/changes"
    wanted = {"version": version_of(client), "change": {"note": "Wants to be called again."}}
    return client.request("POST", path, json=wanted)


def task_updated(client: Any) -> Any:
    task = {
        "resourceType": "Task",
        "meta": {"versionId": str(version_of(client))},
        "status": "requested",
        "intent": "plan",
        "note": [{"text": "Wants to be called again."}],
    }
    return client.request("PUT", f"/fhir/Task/{client.stay}", json=task)


# What every route that touches a patient is asked with; a new one fails until it is here.
TOUCHING = {
    "POST /v1/score": lambda client: client.score(),
    "POST /fhir/$readmission-risk": lambda client: client.request(
        "POST", "/fhir/$readmission-risk", json=examples.BUNDLE
    ),
    "GET /fhir/RiskAssessment/{score_id}": lambda client: client.get(
        f"/fhir/RiskAssessment/{client.kept}"
    ),
    "GET /fhir/RiskAssessment": lambda client: client.get(
        "/fhir/RiskAssessment", params={"patient": PATIENT}
    ),
    "POST /fhir/RiskAssessment/_search": lambda client: client.request(
        "POST", "/fhir/RiskAssessment/_search", data={"patient": PATIENT}
    ),
    "POST /cds-services/{service_id}": hook_call,
    "POST /cds-services/{service_id}/feedback": feedback,
    "GET /v1/patients/{id}/disclosures": lambda client: client.get(PATH.format("p")),
    "GET /v1/scores/{score_id}": lambda client: client.get(f"/v1/scores/{client.kept}"),
    "GET /v1/patients/{patient_id}/scores": lambda client: client.get(
        f"/v1/patients/{PATIENT}/scores"
    ),
    "POST /v1/patients/{patient_id}/break-glass": lambda client: client.request(
        "POST",
        "/v1/patients/p/break-glass",
        json={"reason": "emergency_treatment", "explanation": "Collapsed in the lobby."},
    ),
    "GET /v1/worklist": lambda client: client.get("/v1/worklist"),
    "GET /v1/worklist.csv": lambda client: client.get("/v1/worklist.csv"),
    "GET /v1/worklist/capacity": lambda client: client.get("/v1/worklist/capacity"),
    "GET /fhir/List/work-list": lambda client: client.get("/fhir/List/work-list"),
    "GET /fhir/Group/work-list": lambda client: client.get("/fhir/Group/work-list"),
    "GET /v1/follow-ups/{stay}": lambda client: client.get(f"/v1/follow-ups/{client.stay}"),
    "GET /v1/follow-ups/{stay}/changes": lambda client: client.get(
        f"/v1/follow-ups/{client.stay}/changes"
    ),
    "POST /v1/follow-ups/{stay}/changes": note_added,
    "GET /fhir/Task/{stay}": lambda client: client.get(f"/fhir/Task/{client.stay}"),
    "PUT /fhir/Task/{stay}": task_updated,
    "GET /risk/{score_id}": lambda client: client.get(f"/risk/{client.kept}"),
    "POST /risk/{score_id}/break-glass": lambda client: client.request(
        "POST",
        f"/risk/{client.kept}/break-glass",
        data={"reason": "emergency_treatment", "explanation": "Collapsed in the lobby."},
    ),
    "GET /work-list": lambda client: client.get("/work-list"),
    "GET /follow-up/{stay}": lambda client: client.get(f"/follow-up/{client.stay}"),
    "POST /follow-up/{stay}": lambda client: client.request(
        "POST",
        f"/follow-up/{client.stay}",
        data={"version": str(version_of(client)), "note": "Wants to be called again."},
    ),
}
SUMS_ALONE = {"GET /v1/month", "GET /month", "GET /v1/forecast", "GET /planning"}
"""Of many patients at once, in steps of eleven: nobody's record is shown."""
ANSWERED = (200, 201, 303)
"""A form is answered with where its page is."""


def kind_of(answer: Any) -> str:
    """The problem's type, in whichever form the error came."""
    content = answer.json()
    if "issue" not in content:
        return str(content["type"])
    (coding,) = content["issue"][0]["details"]["coding"]
    return f"{coding['system']}:{coding['code']}"


NOT_ABOUT_PATIENTS = {"DocumentReference", "Device"}
"""What the service says of its model and of itself."""


def every_route(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        # What newer releases of FastAPI put around a router that is included.
        elif (router := getattr(route, "original_router", None)) is not None:
            yield from every_route(router.routes)


def routes_about_patients(app: Any) -> set[str]:
    found = set()
    for route in every_route(app.routes):
        declared = requirement_of([one.call for one in route.dependant.dependencies])
        if isinstance(declared, Requirement) and declared.resource not in NOT_ABOUT_PATIENTS:
            found |= {f"{method} {route.path}" for method in route.methods}
    return found


def test_every_route_that_touches_a_patient_is_asked_below(client: Any) -> None:
    assert routes_about_patients(client.app) == set(TOUCHING) | SUMS_ALONE


@pytest.mark.parametrize("route", TOUCHING)
def test_no_route_that_touches_a_patient_answers_without_an_entry(
    client_with: Any, route: str
) -> None:
    client = client_with()
    before = prepared(client)
    assert TOUCHING[route](client).status_code in ANSWERED
    (entered,) = rows(client)[before:]
    assert entered.patient_index is not None
    assert entered.route == route.partition(" ")[2]
    assert verify(audit_of(client).database, audit_of(client).keys, audit_of(client).anchor)


@on_sqlite_alone
@pytest.mark.parametrize("route", TOUCHING)
def test_a_full_disk_refuses_the_answer(client_with: Any, route: str) -> None:
    client = client_with()
    prepared(client)
    engine = audit_of(client).database.engine
    full = True

    @event.listens_for(engine, "checkout")
    def limit(connection: Any, *_: object) -> None:
        if full:
            connection.execute("PRAGMA max_page_count = 1")  # taken as: no more than there are
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            assert free == 0
        else:
            connection.execute("PRAGMA max_page_count = 1000000")

    while True:  # until the pages that there are hold no further entry
        answer = TOUCHING[route](client)
        if answer.status_code not in ANSWERED:
            break
    entered = len(rows(client))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert kind_of(answer) == "urn:readmit:problem:database"
    assert not {"probability", "disclosures"} & answer.json().keys()
    full = False
    assert TOUCHING[route](client).status_code in ANSWERED
    assert len(rows(client)) == entered + 1


@pytest.mark.parametrize("route", TOUCHING)
def test_an_anchor_that_cannot_be_written_refuses_the_answer(
    client_with: Any, tmp_path: Path, route: str
) -> None:
    client = client_with()
    before = prepared(client)
    audit_of(client).anchor = tmp_path / "nowhere" / "anchor"
    answer = TOUCHING[route](client)
    assert answer.status_code == 503
    assert kind_of(answer) == "urn:readmit:problem:audit"
    assert len(rows(client)) == before


_NO_ROOM = """
import json, resource, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2] + under for under in ("", "/tests/api", "/tests/fixtures")]
from conftest import LinearModel, development, running
from service.app import create_app
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with running(create_app(development(Path(sys.argv[1])), LinearModel())) as client:
    answers = [client.score().status_code]
    log = Path(sys.argv[1]) / "readmit.db-wal"
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, -1))
    refused = client.score()
    answers += [refused.status_code, "probability" in refused.text]
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    answers.append(client.score().status_code)
print(json.dumps(answers))
"""


@pytest.mark.slow
@on_sqlite_alone
def test_a_disk_that_takes_no_further_byte_refuses_the_score(tmp_path: Path) -> None:
    root = str(SERVICE.parent)
    done = subprocess.run(
        [sys.executable, "-c", _NO_ROOM, str(tmp_path), root],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip().splitlines()[-1:] == ["[200, 503, false, 200]"], done.stderr


def test_every_event_is_produced_by_something() -> None:
    produced = set()
    for file in SERVICE.rglob("*.py"):
        produced |= set(re.findall(r"event=Event\.([A-Z_]+)", file.read_text(encoding="utf-8")))
    assert {event.name for event in Event} == produced
