"""A model card as a page, as Markdown and as JSON with its schema."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import msgspec

from training.model_card.card import FRAMEWORKS, Answer, Card, Missing
from training.report.page import page

SCHEMA = "model-card.schema.json"
_PACKAGE = "training.model_card"
_MARKED = re.compile(r"([\\`*_{}\[\]<>#|~])")


def card_html(card: Card) -> str:
    """A self-contained page of the same look as the report's."""
    return page("card.html", _PACKAGE, simulated=card.simulated, **_values(card))


def card_markdown(card: Card) -> str:
    """Markdown, in which no value is taken for a mark."""
    return _markdown().render(**_values(card))


def card_json(card: Card) -> str:
    """JSON, as ``model-card.schema.json`` says."""
    encoded = msgspec.json.format(msgspec.json.encode(card, order="deterministic"), indent=2)
    return encoded.decode() + "\n"


def card_schema() -> str:
    """The JSON Schema of the card, as it is kept beside this file."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Model card of readmit",
        **msgspec.json.schema(Card),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _values(card: Card) -> dict[str, Any]:
    """What the templates show."""
    return {
        "card": card,
        "frameworks": _frameworks(card),
        "gaps": _gaps(card),
        "names": {"hti1": "HTI-1", "chai": "CHAI", "tripod": "TRIPOD+AI"},
    }


def _gaps(card: Card) -> list[tuple[str, list[Missing]]]:
    """What would complete the card, and the questions that it would answer."""
    gaps: dict[str, list[Missing]] = {}
    for missing in card.missing:
        for wanted in missing.wanted:
            gaps.setdefault(wanted, []).append(missing)
    return list(gaps.items())


def _frameworks(card: Card) -> list[tuple[str, str, list[tuple[str, list[Answer]]]]]:
    """Key, title, and the answers of each framework, group by group in its order."""
    found: list[tuple[str, str, list[tuple[str, list[Answer]]]]] = []
    for key, title in FRAMEWORKS.items():
        groups: dict[str, list[Answer]] = {}
        for answer in getattr(card, key):
            groups.setdefault(answer.group, []).append(answer)
        found.append((key, title, list(groups.items())))
    return found


@cache
def _markdown() -> jinja2.Template:
    # Not HTML: what would be a mark is escaped by the filter, which the template uses throughout.
    environment = jinja2.Environment(  # noqa: S701
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = _plain
    source = (files(_PACKAGE) / "templates" / "card.md").read_text(encoding="utf-8")
    return environment.from_string(source)


def _plain(text: str) -> str:
    """Text on one line in which nothing is a mark of Markdown or HTML."""
    return _MARKED.sub(r"\\\1", " ".join(text.replace("&", "&amp;").split()))
