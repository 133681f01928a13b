"""The command ``readmit``: the only file that sees the whole house, and it looks only when asked.

Every import of ours inside a command is there because ``readmit --help`` must not wait for MLflow.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_mappings.errors import ReadmitError, SiteProfileError

if TYPE_CHECKING:
    from fhir_mappings.profiles import SiteProfile
    from fhir_mappings.store import Store

app = typer.Typer(
    name="readmit",
    help="From FHIR R4 records to an explained risk of unplanned readmission within 30 days.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

StoreOption = Annotated[
    Path, typer.Option("--store", envvar="READMIT_STORE", help="Folder of the event store.")
]
MlrunsOption = Annotated[
    Path, typer.Option("--mlruns", envvar="READMIT_MLRUNS", help="MLflow's home.")
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="READMIT_PROFILE",
        help="Site profile: default, mimic, synthea, clinosim, simulated, or a .toml file. "
        "Where a store exists, the one that it was written with.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
DEFAULT_STORE = Path("store")
DEFAULT_MLRUNS = Path("mlruns")


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the records.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write the records of a [bold]simulated[/] hospital, with the true risk of each stay."""
    from service.terminal import progress
    from training.simulated_hospital import simulate as run

    with progress(quiet=as_json) as report:
        summary = run(
            out, patients, seed, progress=lambda done, whole: report("simulate", done, whole)
        )
    answer = _plain(summary)
    if as_json:
        _print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [
        (name.replace("_", " "), value)
        for name, value in answer.items()
        if isinstance(value, int | float)
    ]
    show(results, table(f"Simulated hospital in {out}", ("", "simulated"), rows))


@app.command()
def ingest(
    sources: Annotated[
        list[Path], typer.Argument(help="Files or folders of FHIR R4 NDJSON or Bundles.")
    ],
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = None,
    shards: Annotated[
        int | None, typer.Option(min=1, help="Shards of a new store (default 16).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read FHIR records into the event store, updating what is there already."""
    from fhir_mappings.ingest import ingest as run
    from service.terminal import progress

    chosen = _profile_for(store, profile)
    with progress(quiet=as_json) as report:
        summary = run(
            sources,
            store,
            chosen,
            shards=shards,
            progress=lambda _, done, whole: report("ingest (bytes)", done, whole),
        )
    if as_json:
        _print_json(_plain(summary))
        return
    from service.tables import ingest_tables, show
    from service.terminal import results

    show(results, ingest_tables(summary))


@app.command()
def coverage(
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = None,
    out: Annotated[Path | None, typer.Option(help="Also write the report as JSON here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what of an export is understood, and what is not."""
    from fhir_mappings.coverage import coverage as measure
    from fhir_mappings.features.declaration import declared_features
    from fhir_mappings.sources.reading import site_concepts
    from fhir_mappings.store import open_store

    chosen = _profile_for(store, profile)
    with open_store(store) as opened:
        report = measure(opened, site_concepts(chosen), declared_features())
    answer = _plain(report)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        _print_json(answer)
        return
    from service.tables import coverage_tables, show
    from service.terminal import results

    show(results, coverage_tables(report))


@app.command()
def cohort(
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find index stays and readmissions, and count every exclusion."""
    from fhir_mappings.store import open_store
    from service.terminal import progress
    from training.cohort.selection import CohortRules
    from training.dataset import select_cohort

    chosen = _profile_for(store, profile)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        found = select_cohort(opened, chosen, CohortRules(follow_up=chosen.calendar), report)
    counts = found.cohort.counts
    names = ("encounters", "stays", "returns_30d", "deaths_in_hospital")
    stays = found.cohort.index_stays
    answer = {
        "patients": found.patients,
        **{name: counts[name] for name in names},
        "without_observation": {name: counts[f"without_observation.{name}"] for name in names},
        "index_stays": len(stays),
        "readmissions": found.readmissions,
        "planned_returns": sum(stay.planned_return is not None for stay in stays),
        "died_within_horizon": sum(s.died_within_horizon and not s.readmitted for s in stays),
        "flow": _plain(found.flow),
    }
    if as_json:
        _print_json(answer)
        return
    from service.tables import flow_tables, show
    from service.terminal import results

    show(results, flow_tables(answer))


@app.command()
def train(
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    profile: ProfileOption = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same data and seed give the same model.")
    ] = 1,
    bootstrap: Annotated[int, typer.Option(min=100, help="Bootstrap samples.")] = 1000,
    vocabulary: Annotated[
        bool, typer.Option(help="Add features for what is frequent at this site.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Train, calibrate and evaluate a model, and register it in MLflow."""
    from fhir_mappings.store import open_store
    from service.terminal import Phases, progress
    from training.cohort.selection import CohortRules
    from training.dataset import study_data
    from training.train import train as run
    from training.vocabulary import VocabularyRules

    chosen = _profile_for(store, profile)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        data = study_data(
            opened,
            chosen,
            CohortRules(follow_up=chosen.calendar),
            vocabulary=VocabularyRules() if vocabulary else None,
            progress=report,
        )
        phases = Phases(report, "train")
        result = run(data, mlruns, seed=seed, bootstrap=bootstrap, progress=phases)
        phases.done()
    answer = _plain(result)
    if as_json:
        _print_json(answer)
        return
    from service.tables import evaluation_tables, show
    from service.terminal import results

    show(results, evaluation_tables(answer))


@app.command()
def score(
    out: Annotated[Path, typer.Option(help="A .csv or .parquet file.")] = Path("scores.csv"),
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a risk model, instead of the champion.")
    ] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score every stay in the store at its discharge, with reasons, into a table."""
    from fhir_mappings.store import open_store
    from service.batch import score_store
    from service.terminal import progress
    from training.risk_model import champion, load_risk_model

    chosen = _profile_for(store, profile)
    risk_model = champion(mlruns) if model is None else load_risk_model(model)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        summary = score_store(opened, chosen, risk_model, out, report)
    answer = _plain(summary)
    if as_json:
        _print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [("scored", summary.scored), *sorted(summary.not_scored.items())]
    show(results, table(f"{summary.stays:,} stays, written to {out}", ("", "stays"), rows))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Loopback alone, until callers are identified.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    profile: ProfileOption = None,
) -> None:
    """Serve scores with explanations on this machine."""
    from service.serve import serve as run
    from service.settings import load_settings

    changes: dict[str, Any] = {"host": host, "port": port, "mlruns": mlruns}
    if profile is not None:
        changes["profile"] = profile
    run(load_settings().model_copy(update=changes))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its files.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=200, help="How many simulated patients.")] = 5000,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve at the end.")] = True,
) -> None:
    """Show the whole product on a [bold]simulated[/] hospital, from records to scores."""
    from service.demo import run

    run(folder, patients=patients, seed=seed, port=port, serving=serving)


def _profile_for(store: Path, name: str | None) -> "SiteProfile":
    """The profile asked for, else the one that the store was written with, else the default."""
    from fhir_mappings.profiles import SHIPPED, load_profile

    recorded = _recorded_profile(store)
    if name is None:
        if recorded is not None and recorded not in SHIPPED:
            raise SiteProfileError(
                f"{store} was written with the site profile '{recorded}'; "
                "name its file with --profile"
            )
        return load_profile(recorded or "default")
    chosen = load_profile(name)
    if recorded is not None and recorded != chosen.name:
        raise SiteProfileError(
            f"{store} was written with the site profile '{recorded}', not '{chosen.name}'; "
            "use another --store"
        )
    return chosen


def _recorded_profile(store: Path) -> str | None:
    from fhir_mappings.store import open_store

    if not (store / "current").exists():
        return None
    opened: Store
    with open_store(store) as opened:
        recorded = opened.information.details.get("profile")
    return None if recorded is None else str(recorded)


def _plain(value: Any) -> Any:
    """Structs, dataclasses and paths as what JSON has; not-a-number is null, as JSON wants it."""
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def _print_json(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")


def main() -> None:
    """Run the command; an error of ours is one line on standard error and an exit code."""
    try:
        app(standalone_mode=True)
    except ReadmitError as error:
        sys.stderr.write(f"readmit: {error}\n")
        raise SystemExit(error.exit_code) from None
