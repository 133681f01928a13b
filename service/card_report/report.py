"""The report on the cards of a period: what became of them, and whether they were right."""

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import msgspec

from fhir_mappings.consent import OptOuts
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.store import Store
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.card_report.counts import Burden, burden, tables
from service.card_report.followed import Followed, ShownRisk, followed, judged
from service.card_report.period import Period as Period  # what a report is asked for with
from service.database import cards
from service.keeping import Keeping
from service.kept_scores import SCORE_CONTEXT
from service.protection.sealing import unseal
from service.small_cells import SMALLEST_CELL
from training.monitoring.disclosure import Table


class Records(NamedTuple):
    """What tells what followed the cards."""

    store: Store
    profile: SiteProfile
    opt_outs: OptOuts


class CardReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the cards of a period. Every count is a multiple of ``smallest``."""

    first: date
    last: date
    timezone: str
    smallest: int
    tables: tuple[Table, ...]
    """By what became of the cards (``population``), each by an attribute (``name``)."""
    burden: Burden | None
    """None where the cards are of too few patients."""
    followed: Followed | None
    """None where too few cards can be judged yet, or no records were given."""


def card_report(
    keeping: Keeping,
    period: Period,
    records: Records | None,
    progress: Callable[[int, int], None],
) -> CardReport:
    """Report on the cards of a period; the audit has it before it is shown.

    Args:
        keeping: the database, the keys and the audit.
        period: in which the cards were shown.
        records: of the same EHR; without them nobody knows what followed.
        progress: told patients whose records are read, and patients in all.

    Raises:
        DatabaseError: if it cannot be read, or entered in the audit.
        KeysError: if a score does not open.
        StoreError: if the records cannot be read.
    """
    with keeping.database.reading() as connection:
        found = cards.of_period(connection, period.since, period.until)
        shown = [
            msgspec.json.decode(unseal(keeping.keys, sealed, SCORE_CONTEXT), type=ShownRisk)
            for sealed in cards.scores_of_period(connection, period.since, period.until)
        ]
    what_followed = None
    if records is not None:
        known = judged(shown, records.store, records.profile, records.opt_outs, progress)
        what_followed = followed(known)
    report = CardReport(
        first=period.first,
        last=period.last,
        timezone=str(period.zone),
        smallest=SMALLEST_CELL,
        tables=tables(found),
        burden=burden(found, period.zone),
        followed=what_followed,
    )
    keeping.audit.record(
        Entry(
            event=Event.FEEDBACK_REPORTED,
            caller=None,
            details={
                "cards": len(found),
                "first": period.first.isoformat(),
                "last": period.last.isoformat(),
            },
        )
    )
    return report
