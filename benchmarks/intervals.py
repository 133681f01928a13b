"""Whether 95 % intervals hold the truth 95 times in 100, on made-up patients whose truth is known.

Each patient has one to several stays and a frailty that all of them share; the frail come more
often. Readmissions are drawn from the true risks. The model under test does not see the frailty
and exaggerates what it sees; points in the manner of LACE stand beside it. The truth of each
measure comes from one very large draw. Then 200 test sets are drawn, each is evaluated as a real
one would be, and the intervals that hold the truth are counted. If 95 % is kept, chance alone
leaves that share between 0.91 and 0.985 for 98 of 100 measures: of the 40 or so here, one may well
miss. Nothing here says anything about real patients.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import binom

from benchmarks.measuring import Result, at_least, at_most
from training.evaluation.evaluate import evaluate
from training.evaluation.measures import COMPARED, Risk, measure_risk
from training.evaluation.metrics import found_at_the_top, net_benefit
from training.evaluation.subgroups import fairness
from training.findings import Evaluation, Fairness
from training.risk_model import Interval
from training.study import EvaluationRules
from training.study_data import BoolArray

SEEDS = 200
PATIENTS = 600
"""Of each test set: some 1,200 stays and 240 readmissions."""
PATIENTS_OF_TRUTH = 1_000_000
LOWEST, HIGHEST = 0.91, 0.985
HIGH_FROM = 0.3
SHOWN_THRESHOLDS = (0.1, 0.2, 0.3)
RULES = EvaluationRules(attributes=("sex",))
OTHER_NUMBERS = 1_000_000
"""Added to the seed of the resamples: drawn by the same random numbers as the patients themselves,
they would not be independent of them."""


class Drawn(NamedTuple):
    """Stays of made-up patients."""

    subjects: np.ndarray
    outcome: BoolArray
    model: Risk
    points: Risk
    sex: np.ndarray


def run(folder: Path) -> list[Result]:
    """Draw, evaluate and count; one result a measure."""
    del folder
    truth = dict(_truth(_draw(PATIENTS_OF_TRUTH, 10_000)))
    held = dict.fromkeys(truth, 0)
    widths: dict[str, list[float]] = {name: [] for name in truth}
    missing = dict.fromkeys(truth, 0)
    below = dict.fromkeys(truth, 0)
    for seed in range(SEEDS):
        for name, interval in _intervals(_draw(PATIENTS, seed), seed + OTHER_NUMBERS):
            if interval.low is None or interval.high is None:
                missing[name] += 1
                continue
            held[name] += interval.low <= truth[name] <= interval.high
            below[name] += truth[name] < interval.low
            widths[name].append(interval.high - interval.low)
    results = [
        _result(name, truth[name], held[name], below[name], missing[name], widths[name])
        for name in truth
    ]
    shares = [result.value for result in results]
    return [
        at_least("all measures together", float(np.mean(shares)), 0.935, "", _spread(shares)),
        at_most("all measures together", float(np.mean(shares)), 0.965, "", _spread(shares)),
        *results,
    ]


def _spread(shares: list[float]) -> str:
    return f"{len(shares)} measures, from {min(shares):.3f} to {max(shares):.3f}"


def _result(
    name: str, truth: float, held: int, below: int, missing: int, widths: list[float]
) -> Result:
    told = SEEDS - missing
    share = held / told if told else 0.0
    low, high = binom.interval(0.95, told, 0.95)
    detail = (
        f"truth {truth:.4f}, median width {np.median(widths):.4f}; truth below {below}, above "
        f"{told - held - below} of {told}; chance alone gives {low / told:.3f} to {high / told:.3f}"
    )
    return Result(
        f"{name}: intervals that hold the truth (simulated)",
        share,
        "",
        f"{LOWEST} to {HIGHEST}",
        LOWEST <= share <= HIGHEST and not missing,
        detail,
    )


def _draw(patients: int, seed: int) -> Drawn:
    random = np.random.default_rng(seed)
    burden = random.normal(size=patients)
    frailty = random.normal(0, 0.5, patients)
    woman = random.random(patients) < 0.35
    stays = 1 + random.poisson(np.exp(0.4 * burden + 0.5 * frailty - 0.2))
    owner = np.repeat(np.arange(patients), stays)
    acuity = random.normal(size=len(owner))
    seen = -1.9 + 0.7 * burden[owner] + 0.5 * acuity
    true_risk = expit(seen + frailty[owner])
    stated = 1.2 * seen + 0.2
    count = np.clip(np.round(8 + 2.5 * burden[owner] + random.normal(0, 2, len(owner))), 0, 19)
    return Drawn(
        subjects=owner,
        outcome=random.random(len(owner)) < true_risk,
        model=Risk(stated, expit(stated)),
        points=Risk(count, expit(-1.8 + 0.2 * (count - 8))),
        sex=np.where(woman, "female", "male")[owner].astype(object),
    )


def _truth(drawn: Drawn) -> Iterator[tuple[str, float]]:
    once = np.ones((1, len(drawn.outcome)))
    outcome = drawn.outcome

    def measured(risk: Risk, part: np.ndarray) -> dict[str, float]:
        some = Risk(risk.ranking[part], risk.probability[part])
        told = measure_risk(some, outcome[part], once[:, : int(part.sum())], HIGH_FROM)
        return {name: float(value[0]) for name, value in told.items()}

    everyone = np.ones(len(outcome), dtype=bool)
    model, points = measured(drawn.model, everyone), measured(drawn.points, everyone)
    yield from model.items()
    for name in COMPARED:
        yield f"{name}, difference from points", model[name] - points[name]
    women = drawn.sex == "female"
    within, others = measured(drawn.model, women), measured(drawn.model, ~women)
    for name, value in within.items():
        yield f"{name}, gap of a group", value - others[name]
    for share in RULES.capacities:
        for label, risk in (("", drawn.model), (" of points", drawn.points)):
            found = float(found_at_the_top(risk.ranking, outcome, once, [share])[0, 0])
            yield f"ppv{label} at the top {share:.0%}", found / (share * len(outcome))
            if not label:
                yield f"sensitivity at the top {share:.0%}", found / outcome.sum()
    benefit = net_benefit(drawn.model.probability, outcome, once, SHOWN_THRESHOLDS)[:, 0]
    for threshold, value in zip(SHOWN_THRESHOLDS, benefit, strict=True):
        yield f"net benefit at {threshold:.0%}", float(value)


def _intervals(drawn: Drawn, seed: int) -> Iterator[tuple[str, Interval]]:
    evaluation = evaluate(
        drawn.model,
        {"points": drawn.points},
        drawn.outcome,
        drawn.subjects,
        deaths=0,
        weeks=None,
        high_from=HIGH_FROM,
        rules=RULES,
        seed=seed,
    )
    yield from _of_evaluation(evaluation)
    groups = fairness(
        drawn.model,
        drawn.outcome,
        drawn.subjects,
        pd.DataFrame({"sex": drawn.sex}),
        high_from=HIGH_FROM,
        rules=RULES,
        seed=seed,
    )
    yield from _of_groups(groups)


def _of_evaluation(evaluation: Evaluation) -> Iterator[tuple[str, Interval]]:
    yield from evaluation.model.items()
    for name, interval in evaluation.differences["points"].items():
        yield f"{name}, difference from points", interval
    for capacity in evaluation.capacities:
        yield f"ppv at the top {capacity.share:.0%}", capacity.ppv
        yield f"sensitivity at the top {capacity.share:.0%}", capacity.sensitivity
        yield f"ppv of points at the top {capacity.share:.0%}", capacity.peers_ppv["points"]
    for at in evaluation.net_benefit:
        if at.threshold in SHOWN_THRESHOLDS:
            yield f"net benefit at {at.threshold:.0%}", at.model


def _of_groups(found: Fairness) -> Iterator[tuple[str, Interval]]:
    (women,) = (group for group in found.groupings[0].groups if group.name == "female")
    for name, interval in women.gaps.items():
        yield f"{name}, gap of a group", interval
