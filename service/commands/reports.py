"""Commands that write about a run: its report, and its model card."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.commands.options import DEFAULT_MLRUNS, MlrunsOption

RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN_ID or VERSION]", help="A run or a version; without it, the model in use."
    ),
]


def report(
    run: RunArgument = None,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    out: Annotated[Path, typer.Option(help="Where to write the page.")] = Path("report.html"),
) -> None:
    """Write the report of a run as one self-contained HTML page, to be read or printed."""
    from training.report import read_run, render_report
    from training.tracking import run_folder

    text = render_report(read_run(run_folder(mlruns, run)))
    _write(out, text)


def card(
    run: RunArgument = None,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    facts: Annotated[
        Path | None,
        typer.Option(
            help="What only people know; docs/model-card.example.toml shows what is asked. "
            "Without it, all of that is listed as missing."
        ),
    ] = None,
    form: Annotated[
        Literal["html", "md", "json"], typer.Option("--format", help="Of the card.")
    ] = "html",
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; model-card.FORMAT if not said.")
    ] = None,
) -> None:
    """Write the model card of a run: what it is, how it does, for whom, and what is missing."""
    from service.terminal import results
    from training.model_card import (
        ModelCardFacts,
        card_html,
        card_json,
        card_markdown,
        load_facts,
        model_card,
    )
    from training.report import read_run
    from training.tracking import run_folder

    people = ModelCardFacts() if facts is None else load_facts(facts)
    made = model_card(read_run(run_folder(mlruns, run)), people)
    render = {"html": card_html, "md": card_markdown, "json": card_json}[form]
    _write(out or Path(f"model-card.{form}"), render(made))
    if made.missing:
        results.print(f"{len(made.missing)} questions have no answer yet; the card lists them")


def _write(out: Path, text: str) -> None:
    from service.terminal import results

    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    results.print(f"written: {out}", markup=False, highlight=False)
