"""What CDS Hooks 2.0 calls a card, with all that hangs on it.

Source: CDS Hooks 2.0, "CDS Service Response". Fields that the specification leaves open are absent
where there is nothing to say, never null.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

SUMMARY_CHARACTERS: Final = 139
"""The specification: a summary is of fewer than 140 characters."""

Indicator = Literal["info", "warning", "critical"]


class Coding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A code that an EHR sends back: why a card was overridden, what it is about."""

    code: str
    system: str | UnsetType = UNSET
    display: str | UnsetType = UNSET


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who says so: the model, with a link to its card."""

    label: str
    url: str | UnsetType = UNSET
    icon: str | UnsetType = UNSET
    topic: Coding | UnsetType = UNSET


class Link(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Where to read on: a page, or an app that the EHR launches (``smart``)."""

    label: str
    url: str
    type: Literal["absolute", "smart"]
    app_context: str | UnsetType = UNSET


class Action(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What the EHR does when a suggestion is taken."""

    type: Literal["create", "update", "delete"]
    description: str
    resource: dict[str, Any] | UnsetType = UNSET
    resource_id: str | UnsetType = UNSET


class Suggestion(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Something to do, in one click."""

    label: str
    uuid: str | UnsetType = UNSET
    is_recommended: bool | UnsetType = UNSET
    actions: tuple[Action, ...] | UnsetType = UNSET


class Card(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """One card. ``selectionBehavior`` is there exactly where there are suggestions (cds-resp)."""

    uuid: str
    summary: str
    detail: str
    indicator: Indicator
    source: Source
    suggestions: tuple[Suggestion, ...] | UnsetType = UNSET
    selection_behavior: Literal["at-most-one", "any"] | UnsetType = UNSET
    override_reasons: tuple[Coding, ...] | UnsetType = UNSET
    links: tuple[Link, ...] | UnsetType = UNSET
