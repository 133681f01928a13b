"""The vocabulary is closed, and documented as it is."""

import re
from pathlib import Path

import pytest

from service.audit.verify import Fault
from service.audit.vocabulary import EVENTS, Event

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_every_event_has_a_meaning() -> None:
    assert list(EVENTS) == list(Event)
    assert all(described.meaning.endswith(".") for described in EVENTS.values())


@pytest.mark.parametrize("event", Event)
def test_every_event_is_documented_as_it_is(event: Event) -> None:
    described = EVENTS[event]
    details = ", ".join(f"`{name}`" for name in sorted(described.details))
    about = "yes" if described.about_patient else ""
    row = f"| `{event.value}` | {described.action} | {about} | {details} | {described.meaning} |"
    assert row in PAGE


def test_no_event_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `([a-z_]+)` \| [CRUDE] \|", PAGE, re.MULTILINE)) == set(Event)


def test_every_fault_is_documented() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \| \S.* \|$", PAGE, re.MULTILINE)) >= set(
        Fault.__args__  # type: ignore[attr-defined]  # of a Literal
    )
