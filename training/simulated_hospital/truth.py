"""The truth behind the records: what nobody at a real hospital could ever know.

It is written to a folder of its own, so that whoever reads ``*.ndjson`` does not see it.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from training.simulated_hospital.bias import hospital_of
from training.simulated_hospital.clock import Clock
from training.simulated_hospital.parameters import Hospital
from training.simulated_hospital.risk import Floats, auroc, observable_risk
from training.simulated_hospital.stays import Stay

COLUMNS = (
    "patient_id",
    "encounter_id",
    "encounters",
    "admitted",
    "discharged",
    "true_risk",
    "observable_risk",
    "outcome",
    "index_eligible",
    "exclusion",
    "planned",
    "lace",
)
"""Columns of ``truth.csv``, before those with the value of each driver.

``encounter_id`` is the last Encounter of the stay, ``encounters`` all of them, separated by
spaces; ``exclusion`` says why a stay is no index stay; risks are empty where no return within 30
days is possible or modelled (deaths, stays in progress, children, births)."""


@dataclass(frozen=True, slots=True)
class TruthSummary:
    """What the index stays of a simulation are like."""

    stays: int
    index_stays: int
    readmissions: int
    readmission_rate: float
    mean_observable_risk: float
    best_possible_auroc: float
    """AUROC of the observable risk against the outcomes: no model can be expected to do better."""
    true_risk_auroc: float
    median_length_of_stay: float
    mean_length_of_stay: float
    high_lace_share: float
    """Share of index stays with LACE >= 10."""
    hospital_mortality: float
    """Share of finished stays that ended in death."""


def write_truth(
    out: Path, stays: Sequence[Stay], hospital: Hospital, clock: Clock, *, biased: bool
) -> TruthSummary:
    """Write ``truth.csv`` (one line a stay) and ``drivers.txt``, and sum the index stays up.

    The drivers are JSON, under a name that no reader of an export takes for records; they say too
    whether a bias was planted, and against whom.
    """
    out.mkdir(parents=True, exist_ok=True)
    modelled = [stay for stay in stays if stay.log_odds is not None and not stay.in_progress]
    log_odds = np.array([stay.log_odds for stay in modelled], dtype=np.float64)
    frailty = [hospital_of(s.person, hospital, biased=biased).risk.frailty_sd for s in modelled]
    observable = observable_risk(log_odds, np.array(frailty, dtype=np.float64))
    risks = dict(zip((stay.id for stay in modelled), observable.tolist(), strict=True))
    with (out / "truth.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, *(driver.name for driver in hospital.drivers)))
        writer.writerows(_row(stay, risks.get(stay.id), hospital, clock) for stay in stays)
    index = [stay for stay in modelled if not stay.exclusion]
    _write_drivers(out / "drivers.txt", index, hospital, biased=biased)
    return _summary(stays, index, np.array([risks[stay.id] for stay in index], dtype=np.float64))


def _row(stay: Stay, observable: float | None, hospital: Hospital, clock: Clock) -> list[str]:
    modelled = observable is not None
    return [
        stay.person.id,
        stay.segments[-1][0],
        " ".join(name for name, *_ in stay.segments),
        clock.local(stay.start),
        "" if stay.in_progress else clock.local(stay.end),
        f"{stay.true_risk:.6f}" if modelled else "",
        f"{observable:.6f}" if modelled else "",
        str(int(stay.outcome)),
        str(int(not stay.exclusion)),
        stay.exclusion,
        str(int(stay.planned)),
        str(stay.lace) if modelled else "",
        *(_written(stay.values.get(driver.name)) for driver in hospital.drivers),
    ]


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _write_drivers(path: Path, index: Sequence[Stay], hospital: Hospital, *, biased: bool) -> None:
    """Write the drivers, the most important (largest spread of contribution) first."""
    added: Floats = np.array([stay.contributions for stay in index], dtype=np.float64)
    added = added.reshape(len(index), len(hospital.drivers))
    spread = added.std(axis=0) if len(index) else np.zeros(len(hospital.drivers))
    order = np.argsort(-spread, kind="stable")
    drivers = [
        {
            **msgspec.to_builtins(hospital.drivers[k]),
            "sd_of_contribution": round(float(spread[k]), 6),
            "raises": (hospital.drivers[k].shape != "below") == (hospital.drivers[k].beta > 0.0),
        }
        for k in order
    ]
    truth = {
        "simulated": True,
        "intercept": hospital.risk.intercept,
        "frailty_sd": hospital.risk.frailty_sd,
        "contribution": "beta * (shape(value) - centre); 0 where the value is missing",
        "drivers": drivers,
        "biased": biased,
        "biased_against": msgspec.to_builtins(hospital.bias) if biased else None,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=2) + b"\n")


def _summary(stays: Sequence[Stay], index: Sequence[Stay], observable: Floats) -> TruthSummary:
    outcome = np.array([stay.outcome for stay in index], dtype=np.bool_)
    true_risk = np.array([stay.true_risk for stay in index], dtype=np.float64)
    days = np.array([stay.days for stay in index], dtype=np.float64)
    finished = [stay for stay in stays if not stay.in_progress]
    some = bool(index)
    return TruthSummary(
        stays=len(stays),
        index_stays=len(index),
        readmissions=int(outcome.sum()),
        readmission_rate=float(outcome.mean()) if some else float("nan"),
        mean_observable_risk=float(observable.mean()) if some else float("nan"),
        best_possible_auroc=auroc(observable, outcome),
        true_risk_auroc=auroc(true_risk, outcome),
        median_length_of_stay=float(np.median(days)) if some else float("nan"),
        mean_length_of_stay=float(days.mean()) if some else float("nan"),
        high_lace_share=float(np.mean([stay.lace >= 10 for stay in index]))
        if some
        else float("nan"),
        hospital_mortality=sum(stay.disposition == "expired" for stay in finished)
        / max(len(finished), 1),
    )
