"""What the calls of a month were followed by."""

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from service.commands.options import (
    DEFAULT_MLRUNS,
    DEFAULT_STORE,
    JsonOption,
    MlrunsOption,
    OptOutOption,
    ProfileOption,
    StoreOption,
    opt_outs_of,
    plain,
    print_json,
    profile_for,
)


def month(
    of: Annotated[
        str | None,
        typer.Argument(metavar="MONTH", help="As 2026-03; the month before this one by default."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a risk model, instead of the champion.")
    ] = None,
    profile: ProfileOption = None,
    opt_out: OptOutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count a month's discharges for the page of the month: who was called, and who came back.

    Calls are read from the database, stays and returns from the event store. Count a month again
    when more is on record: the newest count is the one that is shown.
    """
    from fhir_mappings.store import open_store
    from service.keeping import open_existing
    from service.month.count import Records, count_month
    from service.settings import load_settings
    from service.terminal import progress, results
    from training.risk_model import champion, load_risk_model

    chosen = profile_for(store, profile)
    risk_model = champion(mlruns) if model is None else load_risk_model(model)
    if of is None:
        today = datetime.now(ZoneInfo(chosen.timezone)).date()
        of = f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
    with (
        open_store(store) as opened,
        closing(open_existing(load_settings())) as keeping,
        progress(quiet=as_json) as told,
    ):
        counted = count_month(
            keeping,
            Records(opened, chosen, opt_outs_of(opt_out, chosen), risk_model),
            of,
            lambda done, whole: told("month", done, whole),
        )
    if as_json:
        print_json(plain(counted))
        return
    from service.tables import show

    open_end = "" if counted.complete else " Some of them have not been followed for thirty days."
    show(
        results,
        f"{counted.month}: {counted.stays:,} discharges of {counted.units} units, followed until "
        f"{counted.followed_until}.{open_end} GET /month shows them.",
    )
