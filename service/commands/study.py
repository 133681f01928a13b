"""Commands of a study: who counts, and what a model learns from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.study import Study

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


def cohort(
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = None,
    opt_out: OptOutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find index stays and readmissions, and count every exclusion."""
    from fhir_mappings.store import open_store
    from service.terminal import progress
    from training.cohort.selection import CohortRules
    from training.dataset import select_cohort
    from training.study_records import StudyRecords

    chosen = profile_for(store, profile)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        records = StudyRecords(opened, chosen, opt_outs_of(opt_out, chosen))
        found = select_cohort(records, chosen, CohortRules(follow_up=chosen.calendar), report)
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
        "flow": plain(found.flow),
    }
    if as_json:
        print_json(answer)
        return
    from service.tables import flow_tables, show
    from service.terminal import results

    show(results, flow_tables(answer))


def train(
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    profile: ProfileOption = None,
    study: StudyOption = None,
    tune: Annotated[
        int, typer.Option(min=0, help="Settings of the trees to try; a search cut off goes on.")
    ] = 0,
    cohort_file: Annotated[
        Path | None,
        typer.Option("--cohort", help="CSV with encounter_id,label: takes the rules' place."),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, max=365, help="Days after discharge: 7, 30, 90.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="How the test stays are set apart: time, patient or site.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same data and seed give the same model.")
    ] = None,
    bootstrap: Annotated[int | None, typer.Option(min=100, help="Bootstrap samples.")] = None,
    vocabulary: Annotated[
        bool | None, typer.Option(help="Add features for what is frequent at this site.")
    ] = None,
    opt_out: OptOutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train, calibrate, evaluate and explain a model, and register it in MLflow."""
    from fhir_mappings.store import open_store
    from service.terminal import Phases, progress
    from training.experiment import run_study
    from training.study_records import StudyRecords

    chosen = profile_for(store, profile)
    choices = _study(study, horizon, split, seed, bootstrap, vocabulary)
    with open_store(store) as opened, progress(quiet=as_json) as report:
        phases = Phases(report, "train")
        result = run_study(
            StudyRecords(opened, chosen, opt_outs_of(opt_out, chosen)),
            chosen,
            mlruns,
            choices,
            tune=tune,
            cohort_file=cohort_file,
            reading=report,
            progress=phases,
        )
        phases.done()
    answer = plain(result)
    if as_json:
        print_json(answer)
        return
    from service.tables import evaluation_tables, show
    from service.terminal import results

    show(results, evaluation_tables(answer))


def _study(
    path: Path | None,
    horizon: int | None,
    split: str | None,
    seed: int | None,
    bootstrap: int | None,
    vocabulary: bool | None,
) -> "Study":
    """The study file's choices, with what the command says instead; checked like the file."""
    import msgspec

    from training.study import Study, load_study, parse_study

    said: dict[str, dict[str, object]] = {
        "cohort": {"horizon_days": horizon},
        "split": {"by": split},
        "evaluation": {"resamples": bootstrap},
        "features": {"use_vocabulary": vocabulary},
    }
    choices = msgspec.to_builtins(Study() if path is None else load_study(path))
    for section, values in said.items():
        choices[section].update({k: v for k, v in values.items() if v is not None})
    if seed is not None:
        choices["seed"] = seed
    return parse_study(msgspec.json.encode(choices), "options.json")
