"""A batch run, from events to stored scores, against the bare explanation of a ready-made matrix.

Peer: ``shap.TreeExplainer`` on the same trees and the same rows, which somebody else has computed,
and whose answer nobody words, seals or keeps. Ours reads the events, finds the stays, computes the
rows, explains them, words the reasons with their evidence, and commits sealed scores, the list's
rows and the audit's entries, on two processes. The window is ten years, so that every patient is in
it. The records are simulated.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import shap
import xgboost

from benchmarks.measuring import Result, at_most, figure, in_turns
from benchmarks.serving import trained
from fhir_mappings.collector import without_collector
from fhir_mappings.consent import OptOuts, used_now
from fhir_mappings.profiles import load_profile
from fhir_mappings.records.instants import as_datetime
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store, open_store
from fhir_mappings.timeline import Timeline
from service.audit.ledger import Audit
from service.batch_run.chunk import Bench, patients_of, score_chunk
from service.batch_run.patient import Terms
from service.batch_run.run import Order, RunSummary, score_all
from service.batch_run.window import newest_stay, plan
from service.database.engine import Database
from service.database.migrate import upgrade
from service.keeping import Keeping
from service.protection.keys import new_keys
from service.score import NotScored
from service.scoring import answer, prepare
from training.dataset import end_of_data
from training.risk_model import RiskModel, champion, read_champion

TEN_YEARS = 3652
TIMES, PROCESSES = 3, 2


def run(folder: Path) -> list[Result]:
    """Run both in turns on the same stays, then take ours apart."""
    mlruns = trained(folder)
    model = _with_window(champion(mlruns), TEN_YEARS)
    note = read_champion(mlruns)
    assert note is not None
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(mlruns / note.folder / "model.ubj")
    with open_store(folder / "store") as store:
        as_of = end_of_data(store) or 0
        rows = _rows(store, model, as_of)
        explainer = shap.TreeExplainer(booster)
        numbers = iter(range(1000))

        def ours(processes: int) -> RunSummary:
            return _run(folder / f"{next(numbers)}", store, model, as_of, processes)

        again, repeat = _again(folder, store, model, as_of)
        seconds = in_turns(
            TIMES,
            theirs=lambda: explainer.shap_values(rows),
            ours=lambda: ours(PROCESSES),
            alone=lambda: ours(1),
            again=again,
        )
        stays = len(rows)
        parts = _parts(store, model, as_of)
    rounds = booster.num_boosted_rounds()
    return [
        at_most(
            "events to stored scores, two processes / shap.TreeExplainer on the ready-made matrix",
            seconds["ours"] / seconds["theirs"],
            3,
            detail=f"{stays:,} stays, {len(model.features)} features, {rounds} trees; "
            f"{1e6 * seconds['ours'] / stays:.0f} and "
            f"{1e6 * seconds['theirs'] / stays:.0f} us a stay",
        ),
        figure("the same, one process", seconds["alone"] / seconds["theirs"], "x"),
        figure("events to stored scores", stays / seconds["ours"], "stays/s", "two processes"),
        figure(
            "run again, nothing new",
            repeat / seconds["again"],
            "patients/s",
            "fingerprints compared, remaining risks aged",
        ),
        *(
            figure(f"in one process: {name}", 1e6 * took / stays, "us/stay")
            for name, took in parts.items()
        ),
    ]


def _with_window(model: RiskModel, days: int) -> RiskModel:
    model.reference = msgspec.structs.replace(model.reference, horizon_days=days, returns=None)
    return model


def _rows(store: Store, model: RiskModel, as_of: int) -> npt.NDArray[np.float32]:
    """The matrix that an explainer would be given."""
    profile = load_profile("default")
    concepts, nobody, rows = site_concepts(profile), used_now(profile), []
    for chunk in plan(store, as_of, TEN_YEARS):
        for subject, events in patients_of(store, chunk):
            timeline = Timeline(subject, events, concepts, profile)
            stay = newest_stay(timeline, as_of, TEN_YEARS)
            if stay is None:
                continue
            prepared = prepare(model, timeline, stay, stay.end or as_of, opt_outs=nobody)
            if not isinstance(prepared, NotScored):
                rows.append(prepared.row)
    return np.array(rows, dtype=np.float32)


def _keeping(folder: Path) -> Keeping:
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'readmit.db'}")
    upgrade(database)
    keys = new_keys()
    return Keeping(database, keys, Audit(database, keys, folder / "anchor"))


def _order(store: Store, model: RiskModel, as_of: int, processes: int) -> Order:
    return Order(
        store=store,
        profile=load_profile("default"),
        model=model,
        opt_outs=OptOuts(frozenset(), 0),
        as_of=as_datetime(as_of),
        now=datetime.now(UTC),
        max_reasons=6,
        processes=processes,
    )


def _run(folder: Path, store: Store, model: RiskModel, as_of: int, processes: int) -> RunSummary:
    keeping = _keeping(folder)
    try:
        return score_all(keeping, _order(store, model, as_of, processes), lambda *_: None)
    finally:
        keeping.close()


def _again(
    folder: Path, store: Store, model: RiskModel, as_of: int
) -> tuple[Callable[[], object], int]:
    """A run on a database that has everybody; each time a second later, or it would be the same."""
    keeping = _keeping(folder / "again")
    first = score_all(keeping, _order(store, model, as_of, 1), lambda *_: None)
    moments = iter(range(as_of + 1_000_000, as_of + 10**9, 1_000_000))

    def again() -> None:
        score_all(keeping, _order(store, model, next(moments), 1), lambda *_: None)

    return again, first.patients


def _parts(store: Store, model: RiskModel, as_of: int) -> dict[str, float]:
    """Seconds of each step, by itself, in this process."""
    profile = load_profile("default")
    concepts, nobody = site_concepts(profile), used_now(profile)
    chunks = plan(store, as_of, TEN_YEARS)
    took = dict.fromkeys(("reading", "rows", "contributions", "wording", "all but commits"), 0.0)

    terms = Terms("benchmark", as_of, datetime.now(UTC), TEN_YEARS, profile, nobody, "benchmark", 6)
    bench = Bench(terms, new_keys(), model, concepts, {})
    for chunk in chunks:
        with without_collector():
            began = time.perf_counter()
            patients = list(patients_of(store, chunk))
            read = time.perf_counter()
            prepared = []
            for subject, events in patients:
                timeline = Timeline(subject, events, concepts, profile)
                stay = newest_stay(timeline, as_of, TEN_YEARS)
                if stay is not None:
                    one = prepare(model, timeline, stay, stay.end or as_of, opt_outs=nobody)
                    if not isinstance(one, NotScored):
                        prepared.append(one)
            made = time.perf_counter()
            predictions = model.explain_many(np.array([each.row for each in prepared]))
            explained = time.perf_counter()
            for each, prediction in zip(prepared, predictions, strict=True):
                answer(model, each, prediction, max_reasons=6)
            worded = time.perf_counter()
        took["reading"] += read - began
        took["rows"] += made - read
        took["contributions"] += explained - made
        took["wording"] += worded - explained
        took["all but commits"] += read - began
        began = time.perf_counter()
        score_chunk(bench, patients)
        took["all but commits"] += time.perf_counter() - began
    return took
