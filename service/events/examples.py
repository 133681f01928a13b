"""A fictitious notification, for the API's documentation and its tests."""

from typing import Any, Final

TOPIC: Final = (
    "http://hl7.org/fhir/uv/subscriptions-backport/SubscriptionTopic/r4-encounter-complete"
)
SUBSCRIPTION: Final = "https://ehr.hospital.example/fhir/Subscription/example-subscription"


def notification(
    kind: str,
    events: dict[int, str | None] | None = None,
    since_start: int = 0,
    subscription: str = SUBSCRIPTION,
) -> dict[str, Any]:
    """A notification as an EHR sends it (Subscriptions R5 Backport 1.1, R4).

    Args:
        kind: of notification.
        events: the focus of each event by its number; None for one that does not say.
        since_start: how many events there were since the subscription began.
        subscription: the reference to it.
    """
    told = [
        {
            "name": "notification-event",
            "part": [
                {"name": "event-number", "valueString": str(number)},
                {"name": "timestamp", "valueInstant": "2026-03-09T11:30:00Z"},
                *([{"name": "focus", "valueReference": {"reference": focus}}] if focus else []),
            ],
        }
        for number, focus in (events or {}).items()
    ]
    status = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": subscription}},
            {"name": "topic", "valueCanonical": TOPIC},
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(since_start)},
            *told,
        ],
    }
    return {
        "resourceType": "Bundle",
        "type": "history",
        "timestamp": "2026-03-09T11:30:01Z",
        "entry": [
            {
                "fullUrl": "urn:uuid:7d0fbd2f-1c4d-4f6e-9a53-6f4f6f0a1c11",
                "resource": status,
                "request": {"method": "GET", "url": f"{subscription}/$status"},
                "response": {"status": "200"},
            }
        ],
    }


NOTIFICATION: Final = notification(
    "event-notification", {1: "https://ehr.hospital.example/fhir/Encounter/example-stay"}, 1
)
