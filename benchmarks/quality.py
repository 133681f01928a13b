"""The whole way on a simulated hospital, where the truth is known.

Peers: the best possible model (the risk that the simulation used, as far as records show it),
LACE and HOSPITAL on the same test patients. Five splits of the patients are trained on and the
medians taken, since one test set of some 2,800 stays moves a calibration slope by 0.07. Nothing
here says anything about real patients.
"""

import json
import statistics
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.at_home import observable_risk
from benchmarks.measuring import Result, at_least, at_most, figure
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.risk_model import champion
from training.simulated_hospital import simulate
from training.split import split_stays
from training.study import EvaluationRules, Study
from training.study_data import StudyData
from training.study_records import study_records
from training.train import train
from training.vocabulary import VocabularyRules

PATIENTS, HOSPITAL_SEED = 12_000, 7
SPLITS = (1, 2, 3, 4, 5)


class Trained(NamedTuple):
    """One split's model beside the truth."""

    auroc: float
    best: float
    slope: float
    ahead_of_lace: float
    """Lower end of the paired interval."""
    ahead_of_hospital: float
    found: int
    """Of the five strongest true drivers, how many are among the model's ten strongest."""


def run(folder: Path) -> list[Result]:
    """Simulate, train on each split, and compare on its test stays."""
    records, store = folder / "records", folder / "store"
    profile = load_profile("default")
    simulate(records, PATIENTS, HOSPITAL_SEED)
    ingest([records], store, profile)
    with open_store(store) as opened:
        data = study_data(opened, profile, CohortRules(), vocabulary=VocabularyRules())
        truth = observable_risk(records, study_records(opened, profile).pseudonyms)
    drivers = json.loads((records / "truth" / "drivers.txt").read_text(encoding="utf-8"))
    strongest = [each["features"] for each in drivers["drivers"][:5]]
    runs = [_trained(data, folder / f"mlruns{seed}", seed, truth, strongest) for seed in SPLITS]
    short = [each.best - each.auroc for each in runs]
    slope = statistics.median(each.slope for each in runs)
    slopes = _listed([each.slope for each in runs])
    return [
        figure(
            "test AUROC (simulated)",
            statistics.median(each.auroc for each in runs),
            "",
            _listed([each.auroc for each in runs]),
        ),
        figure(
            "best possible on the same test stays",
            statistics.median(each.best for each in runs),
            "",
            _listed([each.best for each in runs]),
        ),
        at_most(
            "short of the best possible", statistics.median(short), 0.02, "AUROC", _listed(short)
        ),
        at_least("calibration slope", slope, 0.9, "", slopes),
        at_most("calibration slope", slope, 1.1, "", slopes),
        _ahead("LACE", [each.ahead_of_lace for each in runs]),
        _ahead("HOSPITAL", [each.ahead_of_hospital for each in runs]),
        at_least(
            "of the five strongest true drivers among the model's ten strongest features",
            statistics.median(each.found for each in runs),
            5,
            "",
            ", ".join(str(each.found) for each in runs),
        ),
    ]


def _trained(
    data: StudyData, mlruns: Path, seed: int, truth: dict[str, float], strongest: list[list[str]]
) -> Trained:
    rules = EvaluationRules(stability_refits=0, learning_shares=(), attributes=())
    result = train(data, mlruns, Study(seed=seed, evaluation=rules))
    ordered = data.ordered()
    test = split_stays(ordered, seed=seed).test
    best = [truth[encounter] for encounter in ordered.stays["encounter_id"][test]]
    ten = _strongest_features(mlruns, ordered.values[test])
    return Trained(
        auroc=result.test["auroc"].value,
        best=float(roc_auc_score(ordered.outcome[test], best)),
        slope=result.test["calibration_slope"].value,
        ahead_of_lace=result.differences["lace"]["auroc"].low or 0.0,
        ahead_of_hospital=result.differences["hospital"]["auroc"].low or 0.0,
        found=sum(bool(set(features) & ten) for features in strongest),
    )


def _strongest_features(mlruns: Path, rows: np.ndarray, most: int = 10) -> set[str]:
    """The features whose contributions vary most, which is how the simulation ranks its drivers."""
    model = champion(mlruns)
    contributions = np.array([each.contributions for each in model.explain_many(rows)])
    order = np.argsort(-contributions.std(axis=0))[:most]
    return {model.features[position].name for position in order}


def _ahead(name: str, lows: list[float]) -> Result:
    return at_least(
        f"ahead of {name}, lower end of the paired interval",
        statistics.median(lows),
        0.0,
        "AUROC",
        _listed(lows),
    )


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
