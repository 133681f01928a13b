"""The model card: what a model is, how it does, for whom, and what nobody has said yet."""

from training.model_card.card import Card, model_card
from training.model_card.facts import ModelCardFacts, load_facts
from training.model_card.render import card_html, card_json, card_markdown, card_schema

__all__ = [
    "Card",
    "ModelCardFacts",
    "card_html",
    "card_json",
    "card_markdown",
    "card_schema",
    "load_facts",
    "model_card",
]
