"""Which scores get a card, and what the card holds."""

from datetime import date
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from service import examples
from service.cards.card import Card
from service.cards.playbook import load_playbook
from service.cards.show import card_of
from service.score import Scored

SCORED = examples.ANSWERS["scored"]
assert isinstance(SCORED, Scored)
PLAYBOOK = load_playbook()
SHOWN: dict[str, Any] = {
    "score_id": "0" * 32,
    "today": date(2026, 3, 9),
    "model_card": "https://readmit.example/model",
}


def shown(score: Scored, **changes: Any) -> Card:
    card = card_of(score, PLAYBOOK, **{**SHOWN, **changes})
    assert card is not None
    return card


def test_a_stay_without_a_risk_gets_no_card() -> None:
    assert card_of(examples.ANSWERS["not_scored"], PLAYBOOK, **SHOWN) is None


@pytest.mark.parametrize(
    ("band", "from_band", "expected"),
    [
        ("high", "high", True),
        ("moderate", "high", False),
        ("moderate", "moderate", True),
        ("low", "moderate", False),
        ("low", "low", True),
        ("unheard-of", "low", False),
    ],
)
def test_the_site_says_from_which_band_on_a_card_is_shown(
    band: str, from_band: Any, expected: bool
) -> None:
    playbook = replace(PLAYBOOK, show_from=from_band)
    assert (card_of(replace(SCORED, band=band), playbook, **SHOWN) is not None) is expected


def test_a_card_as_json_has_no_null_and_no_empty_list() -> None:
    def walk(value: Any) -> None:
        assert value is not None
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        if isinstance(value, list):
            assert value
            for inner in value:
                walk(inner)

    walk(msgspec.json.decode(msgspec.json.encode(shown(SCORED))))


def test_selection_behaviour_is_there_exactly_where_something_is_suggested() -> None:
    assert shown(SCORED).selection_behavior == "any"
    silent = card_of(SCORED, replace(PLAYBOOK, suggestion=()), **SHOWN)
    plain = msgspec.to_builtins(silent)
    assert "suggestions" not in plain
    assert "selectionBehavior" not in plain


def test_only_what_raises_the_risk_calls_for_something() -> None:
    lowering = tuple(replace(one, direction="lowers") for one in SCORED.reasons)
    labels = {one.label for one in shown(replace(SCORED, reasons=lowering)).suggestions}  # type: ignore[union-attr]
    assert labels == {"Call within 7 days of discharge", "Flag the chart: high readmission risk"}


def test_the_card_leads_to_the_model_and_to_the_patients_page() -> None:
    card = shown(SCORED, patient_page="https://readmit.example/launch")
    assert card.source.url == "https://readmit.example/model"
    (link,) = card.links  # type: ignore[misc]  # one is asked for
    assert (link.type, link.url) == ("smart", "https://readmit.example/launch")
    assert link.app_context == SHOWN["score_id"]
    assert "links" not in msgspec.to_builtins(shown(SCORED))


def test_one_score_has_one_card_id() -> None:
    assert shown(SCORED).uuid == shown(SCORED).uuid != shown(SCORED, score_id="1" * 32).uuid
