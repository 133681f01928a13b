"""Counts of cards that point at nobody: by what was said of them, and how many came a day.

The rule is that of the transparency report (``training.monitoring.disclosure``): counts in steps of
eleven, a total as the sum of its printed cells, and a table held back whose neighbours would give
it away. Where a patient has several cards, fewer than eleven *patients* are too few as well.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from statistics import fmean, median
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from fhir_mappings.records.instants import as_datetime
from service.database.cards import CardOfPeriod
from service.small_cells import SMALLEST_CELL
from training.monitoring.disclosure import Table, publishable, rounded

OUTCOMES: Final = ("accepted", "overridden", "not_reported")
"""What became of a card. The last: the EHR said nothing."""
ATTRIBUTES: Final = ("band", "service", "unit")
"""What cards are told apart by."""
REASON: Final = "reason"
NOT_SAID: Final = "(not said)"


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """How many cards one clinician was shown on one day, of the days on which they saw any."""

    clinician_days: int
    """At least so many: the multiple of eleven at or below it."""
    mean: float
    median: float
    most: int


def tables(cards: Sequence[CardOfPeriod]) -> tuple[Table, ...]:
    """Cards by what became of them, each by band, service and unit, and the overridden by reason.

    Populations are the outcomes; how many were shown is their sum, and is not published beside
    them: it would give back what is hidden.
    """
    values = {
        attribute: sorted({_value(card, attribute) for card in cards}) for attribute in ATTRIBUTES
    }
    found = []
    overridden = [card for card in cards if _outcome(card) == "overridden"]
    reasons = sorted({_value(card, REASON) for card in overridden})
    # In the order of their weight: where one has to be held back, it is the last.
    for attribute in ("band", REASON, "service", "unit"):
        for outcome in OUTCOMES:
            if attribute == REASON and outcome != "overridden":
                continue
            names = reasons if attribute == REASON else values[attribute]
            theirs = [card for card in cards if _outcome(card) == outcome]
            found.append(_table(attribute, outcome, names, theirs))
    return publishable(found, (), SMALLEST_CELL)


def burden(cards: Sequence[CardOfPeriod], zone: ZoneInfo) -> Burden | None:
    """Cards for each clinician and day on the hospital's clock; None where they are of too few.

    Clinicians are told apart by the EHR's word, and by nothing but a keyed index.
    """
    if _people(cards) < SMALLEST_CELL:
        return None
    days = Counter((card.user_index, _local(card, zone).date()) for card in cards)
    counts = list(days.values())
    return Burden(
        clinician_days=len(counts) // SMALLEST_CELL * SMALLEST_CELL,
        mean=round(fmean(counts), 2),
        median=float(median(counts)),
        most=max(counts),
    )


def _table(
    attribute: str, outcome: str, names: Sequence[str], cards: Sequence[CardOfPeriod]
) -> Table:
    grouped: defaultdict[str, list[CardOfPeriod]] = defaultdict(list)
    for card in cards:
        grouped[_value(card, attribute)].append(card)
    counts = {
        name: len(grouped[name]) if _people(grouped[name]) >= SMALLEST_CELL else 0 for name in names
    }
    return rounded(attribute, outcome, counts, SMALLEST_CELL)


def _people(cards: Sequence[CardOfPeriod]) -> int:
    """How many patients. One whose score is not kept any more may be any of the others."""
    return len({card.patient_index for card in cards} - {None})


def _outcome(card: CardOfPeriod) -> str:
    return card.outcome or OUTCOMES[-1]


def _value(card: CardOfPeriod, attribute: str) -> str:
    value: str | None = getattr(card, attribute)
    return value or NOT_SAID


def _local(card: CardOfPeriod, zone: ZoneInfo) -> datetime:
    return as_datetime(card.shown_at).astimezone(zone)
