"""The cards that the EHR was given, and what its user made of each."""

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from service.demo_ehr.errors import PageError

# No HTML, no images, and no links but to http, https and mail: a service's answer is shown as text.
_MARKDOWN: Final = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("image")
_HIGHEST_HEADING: Final = 4
"""Headings of a card stand below those of the page."""


class Reported(NamedTuple):
    """What became of a card."""

    outcome: str
    """``accepted`` or ``overridden``."""
    words: str
    """For the page."""
    problem: str | None
    """Why the service did not take the report, where it did not."""


class GivenCard:
    """One card on a patient's chart."""

    def __init__(self, card: dict[str, Any], service: str, patient: str, encounter: str) -> None:
        self.card: Final = card
        self.service: Final = service
        self.patient: Final = patient
        self.encounter: Final = encounter
        self.reported: list[Reported] = []
        self.accepted: set[str] = set()
        """Suggestions that were taken, by uuid."""

    @property
    def uuid(self) -> str:
        """What feedback names it by."""
        return str(self.card["uuid"])

    @property
    def detail(self) -> Markup:
        """Its detail, rendered from Markdown without anything that could act."""
        tokens = _MARKDOWN.parse(str(self.card.get("detail", "")))
        for token in tokens:
            _lower(token)
        # The renderer escapes all text, and its rules let no HTML through.
        return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704

    @property
    def overridden(self) -> bool:
        """Whether it was put aside."""
        return any(one.outcome == "overridden" for one in self.reported)

    def suggestion(self, uuid: str) -> dict[str, Any]:
        """One of its suggestions.

        Raises:
            PageError: if it has no such, or it was taken, or another one was where one is enough.
        """
        found = next((s for s in self.card.get("suggestions", ()) if s.get("uuid") == uuid), None)
        if found is None:
            raise PageError(404, "This card has no such suggestion.")
        if self.overridden or uuid in self.accepted:
            raise PageError(409, "That is done already.")
        if self.accepted and self.card.get("selectionBehavior") == "at-most-one":
            raise PageError(409, "Of this card's suggestions one may be taken.")
        return dict(found)

    def override(self, code: str, comment: str) -> dict[str, Any]:
        """The report of an override.

        Raises:
            PageError: if there is neither a reason of the card's nor a comment, or it was
                overridden already.
        """
        if self.overridden:
            raise PageError(409, "That is done already.")
        reasons = self.card.get("overrideReasons", ())
        reason = next((one for one in reasons if one.get("code") == code), None)
        if reason is None and not comment:
            raise PageError(422, "Choose a reason, or say it in your own words.")
        why: dict[str, Any] = {} if reason is None else {"reason": reason}
        if comment:
            why["userComment"] = comment
        return self._report("overridden", overrideReason=why)

    def acceptance(self, uuid: str) -> dict[str, Any]:
        """The report of a suggestion that was taken."""
        return self._report("accepted", acceptedSuggestions=[{"id": uuid}])

    def _report(self, outcome: str, **more: Any) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"card": self.uuid, "outcome": outcome, "outcomeTimestamp": now, **more}


def _lower(token: Token) -> None:
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(6, int(token.tag[1:]) + _HIGHEST_HEADING - 1)}"
