"""The form that narrows the list: every choice, which of them are made, and both in words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from service.care_pages.asked import Asked
from service.care_pages.words import STATUS_WORDS, person_words
from service.identity.caller import Caller
from service.work_list.wanted import BANDS, ME, NOBODY, STATUSES

SORT_WORDS: Final = {
    "remaining": "highest risk left first",
    "risk": "highest risk at discharge first",
    "discharged": "latest discharge first",
    "due": "earliest due date first",
}
IN_HOSPITAL_WORDS: Final = {
    "": "in hospital or discharged",
    "true": "in hospital",
    "false": "discharged",
}


class Choice(NamedTuple):
    """One value that a filter may have."""

    value: str
    words: str
    chosen: bool


class Field(NamedTuple):
    """One filter with its choices."""

    name: str
    label: str
    choices: tuple[Choice, ...]

    @property
    def chosen(self) -> str:
        """What is chosen, in words."""
        return ", ".join(one.words for one in self.choices if one.chosen)


class FilterForm(NamedTuple):
    """The whole form."""

    boxes: tuple[Field, ...]
    """Of which several may be chosen, and few are offered."""
    longer: tuple[Field, ...]
    """Likewise; they may be many, and are folded."""
    selects: tuple[Field, ...]
    discharged_from: str
    discharged_to: str
    applied: tuple[str, ...]
    """What narrows the list now, in words."""
    order: str


def filter_form(
    asked: Asked, caller: Caller, units: Sequence[str], conditions: Sequence[str]
) -> FilterForm:
    """The form as it was sent.

    Args:
        asked: what is asked for now.
        caller: who asks.
        units: those of the patients whom they may see.
        conditions: likewise.
    """
    boxes = (
        _several(asked, "band", "Band", BANDS),
        _several(asked, "status", "Status", STATUSES, STATUS_WORDS),
    )
    longer = (
        _several(asked, "unit", "Unit", units),
        _several(asked, "condition", "Main diagnosis", conditions),
    )
    assigned = {"": "anybody or nobody", ME: "me", NOBODY: "nobody"}
    person = asked.one("assigned_to")
    if person not in assigned:
        assigned[person] = person_words(person, caller)
    selects = (
        _one(asked, "assigned_to", "Assigned to", assigned),
        _one(asked, "in_hospital", "Where", IN_HOSPITAL_WORDS),
        _one(asked, "sort", "Order", SORT_WORDS, otherwise="remaining"),
    )
    first, last = asked.one("discharged_from"), asked.one("discharged_to")
    return FilterForm(
        boxes,
        longer,
        selects,
        first,
        last,
        applied=tuple(_applied((*boxes, *longer), selects[:2], first, last)),
        order=selects[2].chosen,
    )


def _several(
    asked: Asked,
    name: str,
    label: str,
    offered: Collection[str],
    words: Mapping[str, str] = MappingProxyType({}),
) -> Field:
    made = asked.given.get(name, [])
    # What is asked for and is nobody's today stays in the form: else it could not be taken out.
    every = [*offered, *(one for one in made if one not in offered)]
    return Field(name, label, tuple(Choice(one, words.get(one, one), one in made) for one in every))


def _one(asked: Asked, name: str, label: str, words: dict[str, str], otherwise: str = "") -> Field:
    made = asked.one(name) or otherwise
    return Field(
        name, label, tuple(Choice(value, said, value == made) for value, said in words.items())
    )


def _applied(
    several: Sequence[Field], selects: Sequence[Field], first: str, last: str
) -> Iterable[str]:
    for field in several:
        if field.chosen:
            yield f"{field.label.lower()}: {field.chosen}"
    for field in selects:
        if not field.choices[0].chosen:
            yield f"{field.label.lower()}: {field.chosen}"
    if first:
        yield f"discharged from {first}"
    if last:
        yield f"discharged until {last}"
