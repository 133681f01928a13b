"""Telling the service that a stay ended: a Subscription of the R4 backport.

Source: Subscriptions R5 Backport 1.1 (R4): handshake, event-notification, heartbeat, ``$events``,
``$status``. Notifications are id-only: what they are about is fetched by whoever is allowed to.
"""

import uuid
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from service.demo_ehr.errors import FHIRError
from service.demo_ehr.plan import SERVER, Plan

TOPIC: Final = (
    "http://hl7.org/fhir/uv/subscriptions-backport/SubscriptionTopic/r4-encounter-complete"
)
_STATUS: Final = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    "backport-subscription-status-r4"
)
_NOTIFICATION: Final = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    "backport-subscription-notification-r4"
)
_PROFILE: Final = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription"
)


class HospitalEvent(NamedTuple):
    """A stay that ended."""

    number: int
    encounter: str
    patient: str
    at: str


class Delivery(NamedTuple):
    """A notification that was sent."""

    kind: str
    number: int | None
    at: str
    answer: str
    """In plain words."""
    taken: bool


class Events:
    """The one subscription that there is, and its events."""

    def __init__(self, plan: Plan, http: httpx.AsyncClient) -> None:
        self._plan = plan
        self._http = http
        self.endpoint: Final = f"{plan.service}/fhir/subscriptions/{SERVER}"
        self.status = "requested"
        """``active`` once the service answered the handshake; ``error`` where it does not."""
        self.events: list[HospitalEvent] = []
        self.deliveries: list[Delivery] = []

    def subscription(self) -> dict[str, Any]:
        """The Subscription resource. Its header with the secret is left out."""
        return {
            "resourceType": "Subscription",
            "id": self._plan.subscription,
            "meta": {"profile": [_PROFILE]},
            "status": self.status,
            "reason": "Risk of readmission of patients who are discharged (simulated)",
            "criteria": TOPIC,
            "channel": {
                "type": "rest-hook",
                "endpoint": self.endpoint,
                "payload": "application/fhir+json",
            },
        }

    async def handshake(self) -> bool:
        """Ask the service whether it takes notifications; whether it does."""
        return await self._send("handshake", ())

    async def heartbeat(self) -> bool:
        """Say that there is nothing to say; whether the service heard it."""
        return await self._send("heartbeat", ())

    async def ended(self, encounter: str, patient: str) -> bool:
        """Tell of a stay that ended; whether the service took it. The event is kept either way."""
        event = HospitalEvent(len(self.events) + 1, encounter, patient, _now())
        self.events.append(event)
        return await self._send("event-notification", (event,))

    def between(self, since: int | None, until: int | None) -> dict[str, Any]:
        """The answer to ``$events``: what a receiver missed, by event number."""
        first = 1 if since is None else since
        last = len(self.events) if until is None else until
        return self.bundle(
            "query-event", [one for one in self.events if first <= one.number <= last]
        )

    def status_answer(self) -> dict[str, Any]:
        """The answer to ``$status``."""
        bundle = self.bundle("query-status", [])
        bundle["type"] = "searchset"
        for entry in bundle["entry"]:
            entry.pop("request"), entry.pop("response")
            entry["search"] = {"mode": "match"}
        return bundle

    def bundle(self, kind: str, events: Any) -> dict[str, Any]:
        """A notification, or what has the form of one."""
        base = self._plan.fhir
        focused = [
            {
                "fullUrl": f"{base}/Encounter/{event.encounter}",
                "request": {"method": "PUT", "url": f"Encounter/{event.encounter}"},
                "response": {"status": "200"},
            }
            for event in events
        ]
        return {
            "resourceType": "Bundle",
            "id": str(uuid.uuid4()),
            "meta": {"profile": [_NOTIFICATION], "lastUpdated": _now()},
            "type": "history",
            "timestamp": _now(),
            "entry": [
                {
                    "fullUrl": f"urn:uuid:{uuid.uuid4()}",
                    "resource": self._parameters(kind, events),
                    "request": {
                        "method": "GET",
                        "url": f"{base}/Subscription/{self._plan.subscription}/$status",
                    },
                    "response": {"status": "200"},
                },
                *focused,
            ],
        }

    def _parameters(self, kind: str, events: Any) -> dict[str, Any]:
        named = f"{self._plan.fhir}/Subscription/{self._plan.subscription}"
        return {
            "resourceType": "Parameters",
            "id": str(uuid.uuid4()),
            "meta": {"profile": [_STATUS]},
            "parameter": [
                {"name": "subscription", "valueReference": {"reference": named}},
                {"name": "topic", "valueCanonical": TOPIC},
                {"name": "status", "valueCode": self.status},
                {"name": "type", "valueCode": kind},
                {"name": "events-since-subscription-start", "valueString": str(len(self.events))},
                *(
                    {
                        "name": "notification-event",
                        "part": [
                            {"name": "event-number", "valueString": str(event.number)},
                            {"name": "timestamp", "valueInstant": event.at},
                            {
                                "name": "focus",
                                "valueReference": {
                                    "reference": f"{self._plan.fhir}/Encounter/{event.encounter}"
                                },
                            },
                        ],
                    }
                    for event in events
                ),
            ],
        }

    async def _send(self, kind: str, events: tuple[HospitalEvent, ...]) -> bool:
        headers = {
            "Authorization": f"Bearer {self._plan.subscription_secret}",
            "Content-Type": "application/fhir+json",
        }
        content = msgspec.json.encode(self.bundle(kind, events))
        try:
            answer = await self._http.post(self.endpoint, content=content, headers=headers)
            taken = answer.is_success
            words = "taken" if taken else f"refused ({answer.status_code})"
        except (httpx.HTTPError, OSError):
            taken, words = False, "no answer"
        if kind == "handshake":
            self.status = "active" if taken else "error"
        number = events[0].number if events else None
        self.deliveries.append(Delivery(kind, number, _now(), words, taken))
        return taken


def read_numbers(asked: dict[str, str]) -> tuple[int | None, int | None]:
    """The range that ``$events`` is asked for.

    Raises:
        FHIRError: if a number is none.
    """
    found: list[int | None] = []
    for name in ("eventsSinceNumber", "eventsUntilNumber"):
        text = asked.get(name)
        if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise FHIRError(400, "invalid", f"{name}: a number")
        found.append(None if text is None else int(text))
    return found[0], found[1]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
