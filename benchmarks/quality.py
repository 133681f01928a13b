"""The whole way on a simulated hospital, where the truth is known.

Peers: the best possible model (the risk that the simulation used, as far as records show it),
LACE and HOSPITAL on the same test patients. Nothing here says anything about real patients.
"""

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.measuring import Result, at_least, at_most, figure
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.simulated_hospital import simulate
from training.split import split_stays
from training.train import train
from training.vocabulary import VocabularyRules

PATIENTS, SEED = 12_000, 7


def run(folder: Path) -> list[Result]:
    """Simulate, train and compare on the test stays."""
    records, store = folder / "records", folder / "store"
    profile = load_profile("default")
    simulate(records, PATIENTS, SEED)
    ingest([records], store, profile)
    with open_store(store) as opened:
        data = study_data(opened, profile, CohortRules(), vocabulary=VocabularyRules())
    result = msgspec.to_builtins(train(data, folder / "mlruns", seed=SEED))
    ordered = data.ordered()
    test = split_stays(ordered, seed=SEED).test
    best = _observable_risk(records)
    stays = ordered.stays[test]
    outcome = ordered.outcome[test]
    known = np.array([encounter in best for encounter in stays["encounter_id"]])
    risk = np.array([best.get(encounter, 0.0) for encounter in stays["encounter_id"]])
    best_auroc = float(roc_auc_score(outcome[known], risk[known]))
    auroc = result["test"]["auroc"]
    slope = result["test"]["calibration_slope"]
    drivers = json.loads((records / "truth" / "drivers.txt").read_text(encoding="utf-8"))
    ten = [name for name, _ in result["strongest"][:10]]
    found = [d for d in _strongest(drivers) if set(d).intersection(ten)]
    return [
        figure("test AUROC (simulated)", auroc["value"], "", _interval(auroc)),
        at_most(
            "short of the best possible, same test stays",
            best_auroc - auroc["value"],
            0.02,
            "AUROC",
            f"best possible {best_auroc:.3f}; {known.mean():.1%} of test stays have a true risk",
        ),
        at_least("calibration slope", slope["value"], 0.9, "", _interval(slope)),
        at_most("calibration slope", slope["value"], 1.1, "", _interval(slope)),
        *(
            at_least(
                f"ahead of {name.upper()}, lower end of the paired interval",
                result["differences"][name]["auroc"]["low"],
                0.0,
                "AUROC",
                _interval(result["differences"][name]["auroc"]),
            )
            for name in ("lace", "hospital")
        ),
        at_least(
            "of the five strongest true drivers among the model's ten strongest features",
            len(found),
            5,
            "",
            ", ".join(ten),
        ),
    ]


def _observable_risk(records: Path) -> dict[str, float]:
    with (records / "truth" / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            line["encounter_id"]: float(line["observable_risk"])
            for line in csv.DictReader(file)
            if line["observable_risk"]
        }


def _strongest(drivers: object, most: int = 5) -> list[list[str]]:
    listed = drivers["drivers"] if isinstance(drivers, dict) else drivers
    return [each["features"] for each in listed[:most]]  # type: ignore[index]  # our own file


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
