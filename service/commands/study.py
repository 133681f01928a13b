"""Commands of a study: who counts, and what a model learns from them."""

from typing import Annotated

import typer

from service.commands.options import (
    DEFAULT_MLRUNS,
    DEFAULT_STORE,
    JsonOption,
    MlrunsOption,
    ProfileOption,
    StoreOption,
    plain,
    print_json,
    profile_for,
)


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

    chosen = profile_for(store, profile)
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

    chosen = profile_for(store, profile)
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
    answer = plain(result)
    if as_json:
        print_json(answer)
        return
    from service.tables import evaluation_tables, show
    from service.terminal import results

    show(results, evaluation_tables(answer))
