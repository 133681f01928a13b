"""What is kept of a month: sums by unit, that can be added for whoever sees several units.

Nobody is in it by name or index. Counts of a small unit are still almost people: what is shown of
them is decided when it is shown (``service.month.show``).
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from service.database.follow_ups import Step
from service.follow_ups.statuses import Reason
from service.month.at_risk import Exposure

Became = Literal["visit_booked", "declined", "contacted", "not_reached", "not_called"]
"""How far a stay's follow-up came: the furthest of these that it reached."""

FURTHEST: Final[tuple[Became, ...]] = ("visit_booked", "declined", "contacted")
"""Statuses that say that somebody spoke with the patient, the furthest first."""
BECAME: Final[tuple[Became, ...]] = (*FURTHEST, "not_reached", "not_called")


class GroupMonth(msgspec.Struct, frozen=True):
    """One group of a unit's patients."""

    stays: int = 0
    calls: int = 0
    """Stays whose patient was reached, in time or not."""
    need: float = 0.0
    """The sum of the risks at discharge: the readmissions to expect of them."""

    def __add__(self, other: "GroupMonth") -> "GroupMonth":
        """Both groups as one."""
        return GroupMonth(
            self.stays + other.stays, self.calls + other.calls, self.need + other.need
        )


Groups = dict[str, dict[str, GroupMonth]]
"""By attribute and group."""


class UnitMonth(msgspec.Struct, frozen=True, kw_only=True):
    """The stays that one unit discharged in a month."""

    unit: str | None
    became: dict[Became, int] = {}
    called: Exposure = Exposure()
    not_called: Exposure = Exposure()
    groups: Groups = {}

    @property
    def stays(self) -> int:
        """How many."""
        return sum(self.became.values())


class Work(msgspec.Struct, frozen=True):
    """What was done about one stay."""

    became: Became
    called_at: int | None
    """Microseconds UTC of the first time that somebody spoke with the patient."""


def work_of(steps: Sequence[Step]) -> Work:
    """What a follow-up came to, from its changes in order.

    What was done on the wrong patient's row, and then closed as that, was not done for this stay.
    """
    wrong = [place for place, step in enumerate(steps) if step.reason == Reason.WRONG_PATIENT]
    counted = steps[wrong[-1] + 1 :] if wrong else steps
    statuses = {step.status for step in counted}
    called_at = next((step.at for step in counted if step.status in FURTHEST), None)
    for became in FURTHEST:
        if became in statuses:
            return Work(became, called_at)
    if any(step.reason == Reason.NOT_REACHED for step in counted):
        return Work("not_reached", None)
    return Work("not_called", None)


class StayOfMonth(msgspec.Struct, frozen=True, kw_only=True):
    """One stay with all that is counted of it."""

    unit: str | None
    became: Became
    called: Exposure
    not_called: Exposure
    probability: float
    groups: dict[str, str | None]


def by_unit(stays: Iterable[StayOfMonth]) -> tuple[UnitMonth, ...]:
    """Stays added up by the unit that discharged them."""
    of_unit: dict[str | None, list[StayOfMonth]] = {}
    for stay in stays:
        of_unit.setdefault(stay.unit, []).append(stay)
    units = sorted(of_unit, key=lambda unit: (unit is None, unit or ""))
    return tuple(_unit(unit, of_unit[unit]) for unit in units)


def _unit(unit: str | None, stays: Sequence[StayOfMonth]) -> UnitMonth:
    became: dict[Became, int] = dict.fromkeys(BECAME, 0)
    groups: Groups = {}
    for stay in stays:
        became[stay.became] += 1
        reached = int(stay.became in FURTHEST)
        one = {
            attribute: {group: GroupMonth(1, reached, stay.probability)}
            for attribute, group in stay.groups.items()
            if group is not None
        }
        _add_groups(groups, one)
    return UnitMonth(
        unit=unit,
        became=became,
        called=sum((stay.called for stay in stays), Exposure()),
        not_called=sum((stay.not_called for stay in stays), Exposure()),
        groups=groups,
    )


def together(units: Sequence[UnitMonth]) -> UnitMonth:
    """Several units as one."""
    groups: Groups = {}
    for unit in units:
        _add_groups(groups, unit.groups)
    return UnitMonth(
        unit=None,
        became={name: sum(unit.became.get(name, 0) for unit in units) for name in BECAME},
        called=sum((unit.called for unit in units), Exposure()),
        not_called=sum((unit.not_called for unit in units), Exposure()),
        groups=groups,
    )


def _add_groups(groups: Groups, more: Groups) -> None:
    for attribute, theirs in more.items():
        here = groups.setdefault(attribute, {})
        for group, found in theirs.items():
            here[group] = here.get(group, GroupMonth()) + found
