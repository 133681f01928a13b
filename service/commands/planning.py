"""Commands to plan with: how many readmissions the coming weeks will bring."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from training.forecast.as_of import Forecast


def forecast(
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a risk model, instead of the champion.")
    ] = None,
    profile: ProfileOption = None,
    weeks: Annotated[int, typer.Option(min=1, max=12, help="How many weeks ahead.")] = 4,
    opt_out: OptOutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Expected readmissions by unit and week, with 95 % intervals, from the last record on.

    A patient counts for the unit that discharged them. [bold]At home[/] are patients who have been
    discharged; [bold]to come[/] are those of discharges that will happen until then, taken to be as
    many and as ill as in the last 30 days. Units with fewer than 11 patients are shown together.
    """
    from fhir_mappings.store import open_store
    from service.terminal import progress
    from training.forecast.as_of import forecast_of
    from training.risk_model import champion, load_risk_model
    from training.study_records import StudyRecords

    chosen = profile_for(store, profile)
    risk_model = champion(mlruns) if model is None else load_risk_model(model)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        found = forecast_of(
            StudyRecords(opened, chosen, opt_outs_of(opt_out, chosen)),
            chosen,
            risk_model,
            weeks=weeks,
            progress=report,
        )
    if as_json:
        print_json(plain(found))
        return
    from service.tables import show
    from service.terminal import results

    show(results, *_tables(found))


def _tables(found: "Forecast") -> "Iterator[RenderableType]":
    from rich.markup import escape

    from service.tables import table

    simulated = "[bold]Simulated records.[/] " if found.simulated else ""
    yield (
        f"{simulated}Forecast of model {escape(found.model)} version {escape(found.version)} as of "
        f"{found.as_of[:16]} UTC; week 1 begins then. Overdispersion {found.overdispersion:.2f}."
    )
    yield table(
        "Expected readmissions by the unit that discharged the patient",
        ("unit", "week", "at home", "to come", "expected", "95 % from", "to"),
        [
            (
                each.unit,
                each.week,
                f"{each.at_home:.1f}",
                f"{each.to_come:.1f}",
                f"{each.expected:.1f}",
                each.low,
                each.high,
            )
            for each in found.weeks
        ],
    )
    yield (
        "At home: discharged already. To come: discharges until then, as many and as ill as in the "
        f"last {found.horizon_days} days; patients in hospital are among them, and only so."
    )
    if found.hidden:
        yield "Units with fewer than 11 patients at home, even together, are not shown."
