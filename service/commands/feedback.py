"""What became of the cards that clinicians were shown."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType

from service.commands.options import (
    DEFAULT_STORE,
    JsonOption,
    OptOutOption,
    ProfileOption,
    StoreOption,
    opt_outs_of,
    plain,
    print_json,
    profile_for,
)

if TYPE_CHECKING:
    from service.card_report.report import CardReport
    from training.monitoring.disclosure import Table

DAYS = 30
"""How many days are reported on where none are named, today included."""

_TITLES = {"band": "band", "service": "CDS service", "unit": "unit"}


def feedback(
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day; else 30 days in all."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, whole; today by default."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = None,
    opt_out: OptOutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report on the cards: accepted, overridden and why, how many a day, and how many were right.

    Counts are given in steps of 11. What could point to a few people is held back.
    """
    from service.card_report.report import Period, Records, card_report
    from service.keeping import open_existing
    from service.settings import load_settings
    from service.terminal import progress, results

    chosen = profile_for(store, profile)
    zone = ZoneInfo(chosen.timezone)
    last = datetime.now(zone).date() if until is None else until.date()
    first = last - timedelta(days=DAYS - 1) if since is None else since.date()
    if first > last:
        raise typer.BadParameter("--from lies after --to")
    settings = load_settings()
    with ExitStack() as stack:
        records = None
        if (store / "current").exists():
            from fhir_mappings.store import open_store

            opened = stack.enter_context(open_store(store))
            records = Records(opened, chosen, opt_outs_of(opt_out, chosen))
        keeping = stack.enter_context(closing(open_existing(settings)))
        told = stack.enter_context(progress(quiet=as_json))
        report = card_report(
            keeping,
            Period(first, last, zone),
            records,
            lambda done, whole: told("feedback (patients)", done, whole),
        )
    if as_json:
        print_json(plain(report))
        return
    from service.tables import show

    show(results, *_tables(report, store if records is None else None))


def _tables(report: "CardReport", lacking: Path | None) -> Iterator[RenderableType]:
    """The report for a terminal.

    Args:
        report: the report.
        lacking: where no event store was found; None where one was.
    """
    from rich.markup import escape

    from service.card_report.counts import OUTCOMES, REASON
    from service.tables import table

    yield (
        f"Cards shown from {report.first} to {report.last} ({report.timezone}), by the last that "
        f"the EHR said of each. Counts in steps of {report.smallest}."
    )
    for name, title in _TITLES.items():
        theirs = {one.population: one for one in report.tables if one.name == name}
        columns = ("", "shown", *(outcome.replace("_", " ") for outcome in OUTCOMES))
        rows = [
            (cell, *_row([theirs[outcome] for outcome in OUTCOMES], cell, report.smallest))
            for cell in dict.fromkeys(c.name for one in theirs.values() for c in one.cells)
        ]
        yield table(f"By {title}", columns, rows)
    for one in report.tables:
        if one.name == REASON:
            rows = [(c.name, _count(one, c.name, report.smallest)) for c in one.cells]
            yield table("Overridden, by reason", ("", "cards"), rows)
    yield _burden(report)
    if lacking is not None:
        yield f"What followed is not known: there is no event store in {escape(str(lacking))}."
    else:
        yield _followed(report)


def _row(tables: "Sequence[Table]", cell: str, smallest: int) -> tuple[str, ...]:
    at_least = sum(c.at_least for one in tables for c in one.cells if c.name == cell)
    shown = f"at least {at_least:,}" if at_least else "-"
    return (shown, *(_count(one, cell, smallest) for one in tables))


def _count(table: "Table", name: str, smallest: int) -> str:
    """A published count: at least so many, and fewer than the next step."""
    found = next((cell for cell in table.cells if cell.name == name), None)
    if found is None:
        return "held back"
    if not found.at_least:
        return f"under {smallest}"
    return f"{found.at_least:,} to {found.at_least + smallest - 1:,}"


def _burden(report: "CardReport") -> str:
    if report.burden is None:
        return f"Cards for each clinician and day: of fewer than {report.smallest} patients."
    one = report.burden
    return (
        f"Cards for each clinician and day: mean {one.mean:.2f}, median {one.median:g}, most "
        f"{one.most}; at least {one.clinician_days:,} such days."
    )


def _followed(report: "CardReport") -> str:
    one = report.followed
    if one is None:
        return (
            "Followed by an unplanned readmission: not said. Of the cards whose thirty days are "
            f"over, fewer than {report.smallest} patients were readmitted, or were not."
        )
    return (
        f"Followed by an unplanned readmission: {one.ppv:.2f} of the cards whose thirty days are "
        f"over (95 % interval {one.low:.2f} to {one.high:.2f}); their mean predicted risk was "
        f"{one.mean_risk:.2f}. At least {one.readmitted:,} were, and {one.not_readmitted:,} not."
    )
