"""'I can call twenty': who they are, what that finds, and whether each group has its share.

The remaining risks of the list are probabilities of independent events as far as the model knows:
their sum is the number of readmissions to expect among those who are called, before any call has
done anything. The interval is of that number itself, by the exact distribution of such a sum
(Poisson binomial); that the risks are estimates comes on top and is not in it.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from service.database import work_list_search
from service.database.work_list_search import Need
from service.identity.caller import Caller
from service.keeping import Keeping
from service.work_list.read import Listed, enter_read, gather, reaching
from service.work_list.wanted import Wanted

MOST_CALLS: Final = 200
SMALLEST_GROUP: Final = 11
"""Groups of fewer patients on the list are not told apart: their share would be somebody's."""


class GroupShare(msgspec.Struct, frozen=True, kw_only=True):
    """One group's share of the calls beside its share of the need."""

    attribute: Annotated[str, Meta(description="What patients are grouped by.")]
    group: str
    patients: Annotated[int, Meta(description="Of the group on the whole list.")]
    calls: int
    share_of_calls: float
    share_of_need: Annotated[
        float, Meta(description="Of the readmissions that are expected on the whole list.")
    ]


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What a number of calls reaches."""

    calls: Annotated[int, Meta(description="As many as asked for, or the whole list.")]
    chosen: tuple[Listed, ...]
    expected: Annotated[float, Meta(description="Readmissions to expect among those chosen.")]
    expected_low: Annotated[int, Meta(description="Lower end of the 95 % interval of the number.")]
    expected_high: int
    on_the_list: Annotated[float, Meta(description="Readmissions to expect on the whole list.")]
    next_adds: Annotated[
        float | None, Meta(description="What one more call would add; null where nobody is left.")
    ]
    groups: tuple[GroupShare, ...]


def read_capacity(
    keeping: Keeping,
    caller: Caller,
    wanted: Wanted,
    calls: int,
    *,
    opted_out: Collection[str],
    route: str,
) -> Capacity:
    """Choose whom to call, by the risk that is left, and say what that reaches.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for this access is checked already.
        wanted: who may be chosen; the order is always by the remaining risk.
        calls: how many can be called.
        opted_out: as for ``read_page``.
        route: the template of the path.

    Raises:
        ForbiddenError: if the caller's access is for one patient alone.
        DatabaseError: if the list cannot be read, or entered in the audit.
    """
    filters = reaching(caller, wanted.filters)
    by_remaining = Wanted(filters, "remaining")
    with keeping.database.reading() as connection:
        found = gather(connection, keeping.keys, by_remaining, opted_out, None, calls + 1)
        needs = work_list_search.needs(connection, filters)
    chosen, left = found[:calls], found[calls:]
    enter_read(keeping, caller, [one.listed for one in chosen], route)
    risks = [one.listed.remaining for one in chosen]
    low, high = interval(risks)
    return Capacity(
        calls=len(chosen),
        chosen=tuple(one.listed for one in chosen),
        expected=float(sum(risks)),
        expected_low=low,
        expected_high=high,
        on_the_list=sum(need.expected for need in needs),
        next_adds=left[0].listed.remaining if left else None,
        groups=tuple(shares([one.row.groups for one in chosen], needs)),
    )


def interval(risks: Sequence[float], level: float = 0.95) -> tuple[int, int]:
    """The interval that the number of events falls into with a probability, in equal tails.

    Args:
        risks: the probability of each, independent of the others.
        level: of the interval.
    """
    chances = np.ones(1)
    for risk in risks:
        chances = np.convolve(chances, (1 - risk, risk))
    reached = np.cumsum(chances)
    tail = (1 - level) / 2
    last = len(risks)
    low = int(np.searchsorted(reached, tail, side="right"))
    high = int(np.searchsorted(reached, 1 - tail, side="left"))
    return min(low, last), min(high, last)


def shares(chosen: Sequence[str], needs: Iterable[Need]) -> list[GroupShare]:
    """Each group's share of those chosen beside its share of the expected readmissions.

    Shares are of the patients whose record says the attribute.

    Args:
        chosen: the attributes (JSON) of each who is called.
        needs: of the whole list.
    """
    called: Counter[tuple[str, str]] = Counter()
    for groups in chosen:
        called.update(_pairs(groups))
    patients: Counter[tuple[str, str]] = Counter()
    expected: Counter[tuple[str, str]] = Counter()
    for need in needs:
        for pair in _pairs(need.groups):
            patients[pair] += need.patients
            expected[pair] += need.expected  # type: ignore[assignment]  # counters add fractions too
    all_called, all_expected = _by_attribute(called), _by_attribute(expected)
    return [
        GroupShare(
            attribute=attribute,
            group=group,
            patients=patients[attribute, group],
            calls=called[attribute, group],
            share_of_calls=_part(called[attribute, group], all_called[attribute]),
            share_of_need=_part(expected[attribute, group], all_expected[attribute]),
        )
        for attribute, group in sorted(patients)
        if patients[attribute, group] >= SMALLEST_GROUP
    ]


def _pairs(groups: str) -> list[tuple[str, str]]:
    held: dict[str, str | None] = json.loads(groups)
    return [(attribute, group) for attribute, group in held.items() if group is not None]


def _by_attribute(counts: "Counter[tuple[str, str]]") -> "Counter[str]":
    found: Counter[str] = Counter()
    for (attribute, _), count in counts.items():
        found[attribute] += count
    return found


def _part(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
