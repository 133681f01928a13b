"""Commands of a model in use: what became of it, and what the public may read of it."""

from datetime import date, datetime, timedelta
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
    StudyOption,
    opt_outs_of,
    plain,
    print_json,
    profile_for,
)

if TYPE_CHECKING:
    from fhir_mappings.profiles import SiteProfile
    from training.risk_model import RiskModel
    from training.study import Study

ALERTS = 10
"""Exit code of ``readmit monitor`` where there are alerts, for a scheduler to react to."""

ModelOption = Annotated[
    Path | None, typer.Option(help="Folder of a risk model, instead of the champion.")
]
SinceOption = Annotated[
    datetime | None,
    typer.Option(help="Discharges from this day on; else all after the data of training ended."),
]
UntilOption = Annotated[datetime | None, typer.Option(help="Discharges before this day.")]
AllOption = Annotated[
    bool, typer.Option("--all", help="All discharges, those that training knew included.")
]


def monitor(
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    model: ModelOption = None,
    profile: ProfileOption = None,
    study: StudyOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    everything: AllOption = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the kept reports and the trend plot.")
    ] = None,
    opt_out: OptOutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look after the model in use: drift, performance, alerts. Exits with 10 on an alert.

    The report is kept in [bold]mlruns/monitoring[/], and the trend over all kept reports is drawn
    beside it. Warnings alone leave the exit code at 0.
    """
    from fhir_mappings.store import open_store
    from service.terminal import progress
    from training.monitoring.history import FOLDER, keep, trend, trend_plot
    from training.monitoring.monitor import monitor as run
    from training.study_records import StudyRecords

    chosen = profile_for(store, profile)
    risk_model, choices = _model(mlruns, model), _study(study)
    trained = _trained_until(mlruns, model)
    begin = _begin(chosen, since, trained, everything=everything)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        found = run(
            StudyRecords(opened, chosen, opt_outs_of(opt_out, chosen)),
            chosen,
            risk_model,
            choices,
            since=begin,
            until=None if until is None else until.date(),
            trained_until=trained,
            progress=report,
        )
    folder = mlruns / FOLDER if out is None else out
    path = keep(found, folder)
    table = trend(folder)
    if not table.empty:
        text = trend_plot(table, _source(chosen, found.simulated))
        (folder / "trend.svg").write_text(text, encoding="utf-8")
    answer = {**plain(found), "kept": str(path)}
    if as_json:
        print_json(answer)
    else:
        from service.commands.monitoring_tables import monitor_tables
        from service.tables import show
        from service.terminal import results

        show(results, *monitor_tables(found, path))
    if any(alert.level == "alert" for alert in found.alerts):
        raise typer.Exit(ALERTS)


def _model(mlruns: Path, folder: Path | None) -> "RiskModel":
    from training.risk_model import champion, load_risk_model

    return champion(mlruns) if folder is None else load_risk_model(folder)


def _study(path: Path | None) -> "Study":
    from training.study import Study, load_study

    return Study() if path is None else load_study(path)


def _begin(
    profile: "SiteProfile", since: datetime | None, trained: date | None, *, everything: bool
) -> date | None:
    """The day that was asked for, else the one after the data of training."""
    if since is not None:
        return since.date()
    if everything or trained is None or not profile.calendar:
        return None
    return trained + timedelta(days=1)


def _trained_until(mlruns: Path, folder: Path | None) -> date | None:
    """When the data ended that the model was made from, where its run says so."""
    from training.monitoring.period import end_of_training
    from training.risk_model import read_champion

    note = read_champion(mlruns) if folder is None else None
    home = folder if note is None else mlruns / note.folder
    return None if home is None else end_of_training(home)


def _source(profile: "SiteProfile", simulated: bool) -> str:
    return "Simulated records" if simulated else f"{profile.name} records"


def transparency(
    out: Annotated[Path, typer.Option(help="Folder of the issues, earlier ones included.")] = Path(
        "transparency"
    ),
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    report: Annotated[
        Path | None, typer.Option(help="A report that monitor kept; else the latest.")
    ] = None,
    card: Annotated[str | None, typer.Option(help="Address of the model card.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new issue of the transparency report: aggregates that may be published.

    Counts are given in steps of 11. What could point to a few people, on the page or beside an
    earlier issue in the same folder, is held back.
    """
    from fhir_mappings.errors import StudyError
    from training.monitoring.history import FOLDER, kept, read_report
    from training.monitoring.transparency import publish
    from training.monitoring.transparency import transparency as make

    if report is not None:
        chosen = read_report(report)
    else:
        reports = [each for each in kept(mlruns / FOLDER) if each.enough]
        if not reports:
            raise StudyError("no report of monitoring is kept yet: run readmit monitor first")
        chosen = reports[-1]
    issue = make(chosen, out, card=card)
    page, data = publish(issue, out)
    held_back = [table.name for table in issue.tables if not table.cells]
    answer = {"page": str(page), "data": str(data), "held_back": held_back, **plain(issue)}
    if as_json:
        print_json(answer)
        return
    from service.commands.monitoring_tables import issue_tables
    from service.tables import show
    from service.terminal import results

    show(results, *issue_tables(issue), f"Written to {page} and {data}")
