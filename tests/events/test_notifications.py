"""What a notification says, who may send one, and what the operator must have declared."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from counting_ehr import EHR, counting_ehr
from event_path import NAME, SECRET, Model, settings_of, stay_of
from hypothesis import given
from hypothesis import strategies as st

from service.app import create_app
from service.events.attempts import LONGEST_RETRY_AFTER_SECONDS, LONGEST_WAIT_SECONDS, verdict
from service.events.examples import notification
from service.events.notification import NotificationError, Told, read_notification
from service.events.receiving import gaps
from service.fhir_servers.addresses import FHIRServerError
from service.fhir_servers.client import seconds_to_wait

BASE = "https://ehr.example/fhir"


def read(told: Any) -> Any:
    return read_notification(json.dumps(told).encode(), BASE)


def test_a_notification_is_read_by_its_status_alone() -> None:
    told = notification("event-notification", {7: f"{BASE}/Encounter/e-1", 8: None}, 8)
    found = read(told)
    assert (found.type, found.subscription, found.since_start) == (
        "event-notification",
        "example-subscription",
        8,
    )
    assert found.events == (Told(7, "e-1", True), Told(8, None, False))


@pytest.mark.parametrize(
    ("focus", "encounter"),
    [
        ("Encounter/e-1", "e-1"),
        (f"{BASE}/Encounter/e-1/_history/3", "e-1"),
        ("https://elsewhere.example/fhir/Encounter/e-1", None),
        (f"{BASE}x/Encounter/e-1", None),
        ("Encounter/../Patient/1", None),
        ("Patient/1", None),
    ],
)
def test_only_an_encounter_of_this_server_is_an_event_of_ours(
    focus: str, encounter: str | None
) -> None:
    (event,) = read(notification("event-notification", {1: focus}, 1)).events
    assert event == Told(1, encounter, True)


def changed(**changes: Any) -> dict[str, Any]:
    return {**notification("heartbeat"), **changes}


def with_part(name: str, value: dict[str, Any]) -> dict[str, Any]:
    made = notification("event-notification", {1: "Encounter/1"}, 1)
    parameters = made["entry"][0]["resource"]["parameter"]
    made["entry"][0]["resource"]["parameter"] = [
        {**one, **value} if one["name"] == name else one for one in parameters
    ]
    return made


@pytest.mark.parametrize(
    "told",
    [
        [],
        changed(resourceType="Patient"),
        changed(type="searchset"),
        changed(entry=[]),
        changed(entry=[{"resource": {"resourceType": "Encounter", "status": "canary"}}]),
        with_part("type", {"valueCode": "canary"}),
        with_part("subscription", {"valueReference": {"reference": "Subscription/canary canary"}}),
        with_part("events-since-subscription-start", {"valueString": "canary"}),
        with_part("notification-event", {"part": []}),
        with_part("notification-event", {"part": [{"name": "event-number", "valueString": "0"}]}),
    ],
)
def test_what_is_no_notification_is_refused_and_not_quoted(told: Any) -> None:
    with pytest.raises(NotificationError) as refused:
        read(told)
    assert "canary" not in str(refused.value)


@given(st.integers(0, 20), st.sets(st.integers(1, 40)))
def test_what_is_known_and_what_is_missing_are_together_all_events(
    reached: int, told: set[int]
) -> None:
    last = max([reached, *told])
    missing = {n for first, until in gaps(reached, last, told) for n in range(first, until + 1)}
    assert missing.isdisjoint(told)
    assert missing | {n for n in told if n > reached} == set(range(reached + 1, last + 1))


@given(st.integers(1, 299), st.floats(0, 1e12))
def test_waiting_is_bounded_whatever_a_server_asks_for(attempt: int, asked: float) -> None:
    found = verdict(FHIRServerError("x", answered=429, retry_after=asked), attempt)
    assert found.state == "waiting"
    assert min(asked, LONGEST_RETRY_AFTER_SECONDS) <= found.wait_seconds
    assert found.wait_seconds <= max(LONGEST_WAIT_SECONDS, LONGEST_RETRY_AFTER_SECONDS)


def test_an_ehr_that_is_away_for_days_is_left_to_a_person() -> None:
    assert verdict(FHIRServerError("x"), 300).state == "failed"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("", None)],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert seconds_to_wait(header) == seconds


@pytest.fixture
def ehr() -> Iterator[EHR]:
    with counting_ehr() as server:
        server.admit(stay_of("adam"))
        yield server


@pytest.fixture
def asking(tmp_path: Path, ehr: EHR, each_database: str) -> Iterator[Any]:
    """The whole service, with its own worker; asks with a bearer value."""
    model: Any = Model()
    app = create_app(settings_of(tmp_path, ehr.base), model)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):

        def ask(told: Any, secret: str | None = SECRET, name: str = NAME) -> httpx.Response:
            async def answer() -> httpx.Response:
                transport = httpx.ASGITransport(app, raise_app_exceptions=False)
                headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
                url = "http://127.0.0.1"
                async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                    path = f"/fhir/subscriptions/{name}"
                    return await client.post(path, json=told, headers=headers)

            return portal.call(answer)

        yield ask


def test_handshake_heartbeat_and_events_are_answered_and_the_service_writes_back(
    asking: Any, ehr: EHR
) -> None:
    assert asking(notification("handshake")).status_code == 200
    assert asking(notification("heartbeat")).status_code == 200
    focus: dict[int, str | None] = {1: f"{ehr.base}/Encounter/adam-stay"}
    assert asking(notification("event-notification", focus, 1)).status_code == 200
    for _ in range(600):
        if ehr.versions("Flag") and ehr.versions("RiskAssessment") and ehr.versions("Provenance"):
            break
        time.sleep(0.1)
    assert ehr.versions("RiskAssessment") == ehr.versions("Flag") == [1]


@pytest.mark.parametrize(
    ("secret", "name"),
    [
        (None, NAME),
        ("another", NAME),
        (hashlib.sha256(SECRET.encode()).hexdigest(), NAME),
        (SECRET, "another-ehr"),
    ],
)
def test_only_the_subscriptions_own_secret_opens_it(
    asking: Any, secret: str | None, name: str
) -> None:
    answer = asking(notification("handshake"), secret, name)
    assert answer.status_code == 401
    assert msgspec.json.decode(answer.content)["resourceType"] == "OperationOutcome"


def test_what_is_no_notification_is_a_bad_request(asking: Any) -> None:
    assert asking({"resourceType": "Bundle"}).status_code == 400
