"""Fictitious examples for the API's documentation. No such patient exists."""

from datetime import date
from typing import Any, Final

from service import examples
from service.cards.playbook import load_playbook
from service.cards.show import card_of
from service.cds_hooks.answer import Cards

_KEYS: Final = {
    "encounters": "Encounter",
    "conditions": "Condition",
    "laboratory": "Observation",
    "vital_signs": "Nothing",
    "medications": "MedicationRequest",
    "procedures": "Procedure",
    "consents": "Consent",
}


def prefetch_of(bundle: dict[str, Any]) -> dict[str, Any]:
    """A patient's Bundle as an EHR would prefetch it: a searchset for each key."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    patient = next(one for one in resources if one["resourceType"] == "Patient")
    searches = {
        key: {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": one} for one in resources if one["resourceType"] == kind],
        }
        for key, kind in _KEYS.items()
    }
    return {"patient": patient, **searches}


CALL: Final[dict[str, Any]] = {
    "hook": "encounter-discharge",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {
        "userId": "Practitioner/example-practitioner",
        "patientId": "example-patient",
        "encounterId": "example-stay",
    },
    "prefetch": prefetch_of(examples.BUNDLE),
}
"""A call of the service at discharge."""

_CARD = card_of(
    examples.SCORED,
    load_playbook(),
    score_id=examples.SCORE_ID,
    today=date(2026, 3, 9),
    model_card="https://readmit.hospital.example/v1/model",
)
CARDS: Final = Cards(() if _CARD is None else (_CARD,))
"""What it is answered with."""

FEEDBACK: Final[dict[str, Any]] = {
    "feedback": [
        {
            "card": card.uuid,
            "outcome": "overridden",
            "overrideReason": {
                "reason": {
                    "system": "urn:readmit:playbook:default",
                    "code": "already-arranged",
                },
                "userComment": "Seen on Thursday.",
            },
            "outcomeTimestamp": "2026-03-09T12:00:00Z",
        }
        for card in CARDS.cards
    ]
}
"""What became of it."""
