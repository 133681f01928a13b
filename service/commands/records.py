"""Commands about records: simulate them, read them, see what is understood of them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import (
    DEFAULT_STORE,
    JsonOption,
    ProfileOption,
    StoreOption,
    plain,
    print_json,
    profile_for,
)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the records.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    biased: Annotated[
        bool, typer.Option("--biased", help="Plant a bias against one group, for gates to find.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the records of a [bold]simulated[/] hospital, with the true risk of each stay."""
    from service.terminal import progress
    from training.simulated_hospital import simulate as run

    with progress(quiet=as_json) as report:
        summary = run(
            out,
            patients,
            seed,
            biased=biased,
            progress=lambda done, whole: report("simulate", done, whole),
        )
    answer = plain(summary)
    if as_json:
        print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [
        (name.replace("_", " "), value)
        for name, value in answer.items()
        if isinstance(value, int | float)
    ]
    show(results, table(f"Simulated hospital in {out}", ("", "simulated"), rows))


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

    chosen = profile_for(store, profile)
    with progress(quiet=as_json) as report:
        summary = run(
            sources,
            store,
            chosen,
            shards=shards,
            progress=lambda _, done, whole: report("ingest (bytes)", done, whole),
        )
    if as_json:
        print_json(plain(summary))
        return
    from service.tables import ingest_tables, show
    from service.terminal import results

    show(results, ingest_tables(summary))


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

    chosen = profile_for(store, profile)
    with open_store(store) as opened:
        report = measure(opened, site_concepts(chosen), declared_features())
    answer = plain(report)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(answer)
        return
    from service.tables import coverage_tables, show
    from service.terminal import results

    show(results, coverage_tables(report))
