"""Commands of the clinic: scores of a whole store, the service, and the demo."""

from pathlib import Path
from typing import Annotated, Any

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


def score(
    out: Annotated[Path, typer.Option(help="A .csv or .parquet file.")] = Path("scores.csv"),
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a risk model, instead of the champion.")
    ] = None,
    profile: ProfileOption = None,
    opt_out: OptOutOption = None,
    everybody: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Into the service's database instead: every patient in hospital or just "
            "discharged, for the care managers' list.",
        ),
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="With --all: the moment, as 2026-03-01T06:00:00Z, or end-of-data; now by default."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="With --all: how many score side by side.")
    ] = 2,
    as_json: JsonOption = False,
) -> None:
    """Score every stay in the store at its discharge, with reasons, into a table.

    Each score has an id by which readmit replay computes it again. With --all: who is in hospital,
    or left it in the last 30 days, into the database; a run that was killed is taken up again.
    """
    if everybody:
        from service.commands.batch_run import run

        run(store, mlruns, model, profile, opt_out, as_of, processes=processes, as_json=as_json)
        return
    from fhir_mappings.store import open_store
    from service.batch import score_store
    from service.terminal import progress
    from training.replay.ledger import Part
    from training.risk_model import champion, load_risk_model

    chosen = profile_for(store, profile)
    risk_model = champion(mlruns) if model is None else load_risk_model(model)
    with (
        open_store(store) as opened,
        progress(quiet=as_json) as report,
        Part(store, risk_model) as part,
    ):
        summary = score_store(
            opened,
            chosen,
            risk_model,
            out,
            report,
            part,
            opt_outs=opt_outs_of(opt_out, chosen),
        )
    answer = plain(summary)
    if as_json:
        print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [("scored", summary.scored), *sorted(summary.not_scored.items())]
    show(results, table(f"{summary.stays:,} stays, written to {out}", ("", "stays"), rows))


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8000 by default.")] = None,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    profile: ProfileOption = None,
    development: Annotated[
        bool,
        typer.Option(
            "--development",
            help="Ask nobody who they are. On this machine alone; never for real patients.",
        ),
    ] = False,
    opt_out: OptOutOption = None,
) -> None:
    """Serve scores with explanations, to callers who identify themselves (READMIT_ISSUERS)."""
    from service.serve import serve as run
    from service.settings import load_settings

    given = {"host": host, "port": port, "profile": profile, "opt_out": opt_out}
    given["development"] = development or None
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes["mlruns"] = mlruns
    run(load_settings().model_copy(update=changes))


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its files.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=200, help="How many simulated patients.")] = 5000,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    ehr_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the demo EHR; 0 takes a free one.")
    ] = 8001,
    serving: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve at the end, beside a demo EHR.")
    ] = True,
) -> None:
    """Show the whole product on a [bold]simulated[/] hospital, from records to a card in an EHR."""
    from service.demo import run

    run(folder, patients=patients, seed=seed, port=port, ehr_port=ehr_port, serving=serving)
