"""``readmit score --all``: the morning's list, by a scheduler or by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.commands.options import opt_outs_of, plain, print_json, profile_for

if TYPE_CHECKING:
    from fhir_mappings.store import Store
    from service.batch_run.run import RunSummary

END_OF_DATA: Final = "end-of-data"
"""For records that end in the past: a simulated hospital's, or an export of last year."""


def run(
    store: Path,
    mlruns: Path,
    model: Path | None,
    profile: str | None,
    opt_out: Path | None,
    as_of: str | None,
    *,
    processes: int,
    as_json: bool,
) -> None:
    """Score who is in hospital or has just left it; say what was scored, and what not and why."""
    from fhir_mappings.store import open_store
    from service.batch_run.run import Order, score_all
    from service.keeping import open_keeping
    from service.settings import load_settings
    from service.terminal import progress
    from training.risk_model import champion, load_risk_model

    settings = load_settings()
    chosen = profile_for(store, profile)
    risk_model = champion(mlruns) if model is None else load_risk_model(model)
    keeping = open_keeping(settings)
    try:
        with open_store(store) as opened, progress(quiet=as_json) as report:
            order = Order(
                store=opened,
                profile=chosen,
                model=risk_model,
                opt_outs=opt_outs_of(opt_out, chosen),
                as_of=_moment(as_of, opened),
                now=datetime.now(UTC),
                max_reasons=settings.max_reasons,
                processes=processes,
            )
            summary = score_all(keeping, order, report)
    finally:
        keeping.close()
    if as_json:
        print_json(plain(summary))
    else:
        _show(summary)


def _moment(as_of: str | None, store: "Store") -> datetime | None:
    """The moment that was asked for; None for now.

    Raises:
        UnprocessableError: if it is no moment, or the store has no end.
    """
    from fhir_mappings.errors import UnprocessableError
    from fhir_mappings.records.instants import as_datetime
    from service.score_records import microseconds
    from training.dataset import end_of_data

    if as_of is None:
        return None
    if as_of != END_OF_DATA:
        return as_datetime(microseconds(as_of, "--as-of"))
    end = end_of_data(store)
    if end is None:
        raise UnprocessableError("--as-of end-of-data: no encounter is on record")
    return as_datetime(end)


def _show(summary: "RunSummary") -> None:
    from service.tables import show, table
    from service.terminal import results

    begun = " It had been begun before." if summary.taken_up else ""
    if summary.nothing_to_do:
        begun = " It had ended before; nothing was done."
    rows = [
        ("on the list", summary.listed),
        ("scored", summary.scored),
        ("unchanged", summary.unchanged),
        *((f"not scored: {why}", count) for why, count in summary.not_scored.items()),
        *((f"left the list: {why}", count) for why, count in summary.left.items()),
    ]
    title = f"{summary.patients:,} patients, as of {summary.as_of}"
    show(
        results,
        table(title, ("", "patients"), rows),
        f"Run {summary.run}, {summary.seconds:.1f} s.{begun}",
    )
