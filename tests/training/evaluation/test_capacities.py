"""What a ward finds that can follow up so many stays and no more. All patients are simulated."""

import numpy as np
import pytest
from scipy.special import expit

from training.evaluation.capacity import capacities
from training.evaluation.measures import Risk
from training.study import EvaluationRules


def simulated(stays=600, seed=0):
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1.3, 1.0, stays)
    outcome = random.random(stays) < expit(log_odds)
    subjects = random.integers(0, stays // 2, stays).astype(str).astype(object)
    points = np.round(log_odds + random.normal(0, 1, stays))
    return Risk(log_odds, expit(log_odds)), Risk(points, expit(points)), outcome, subjects


def found(shares, weeks=4.0, order=None):
    model, points, outcome, subjects = simulated()
    if order is not None:
        model, points = (Risk(r.ranking[order], r.probability[order]) for r in (model, points))
        outcome, subjects = outcome[order], subjects[order]
    rules = EvaluationRules(resamples=100, capacities=shares)
    return capacities(
        model, {"points": points}, outcome, subjects, weeks=weeks, rules=rules, seed=1
    )


def test_a_tenth_of_the_stays_by_hand():
    model, _, outcome, _ = simulated()
    (capacity,) = found((0.1,))
    top = np.argsort(-model.ranking)[:60]
    assert capacity.stays == 60
    assert capacity.threshold == model.probability[top].min()
    assert capacity.ppv.value == pytest.approx(outcome[top].mean())
    assert capacity.sensitivity.value == pytest.approx(outcome[top].sum() / outcome.sum())
    assert capacity.number_needed_to_evaluate.value == pytest.approx(1 / outcome[top].mean())
    assert capacity.alerts_per_week == 15
    assert capacity.ppv.low < capacity.ppv.value < capacity.ppv.high


def test_whoever_follows_up_everyone_finds_the_prevalence_and_all_of_them():
    _, _, outcome, _ = simulated()
    (capacity,) = found((1.0,))
    assert capacity.ppv.value == pytest.approx(outcome.mean())
    assert capacity.peers_ppv["points"].value == pytest.approx(outcome.mean())
    assert capacity.sensitivity.value == capacity.sensitivity.low == capacity.sensitivity.high == 1


def test_the_number_needed_turns_the_interval_round():
    (capacity,) = found((0.2,))
    needed = capacity.number_needed_to_evaluate
    assert (needed.low, needed.high) == (1 / capacity.ppv.high, 1 / capacity.ppv.low)


def test_a_top_without_a_readmission_has_no_number_needed():
    ranking = np.arange(40.0)
    outcome = ranking < 20
    risk = Risk(ranking, expit(ranking / 40))
    (capacity,) = capacities(
        risk,
        {},
        outcome,
        ranking.astype(str).astype(object),
        weeks=None,
        rules=EvaluationRules(resamples=50, capacities=(0.1,)),
        seed=1,
    )
    assert capacity.ppv.value == 0
    assert capacity.number_needed_to_evaluate.value is None
    assert capacity.alerts_per_week is None


def test_tied_points_do_not_depend_on_the_order_of_rows():
    order = np.random.default_rng(7).permutation(600)
    for one, other in zip(found((0.05, 0.2)), found((0.05, 0.2), order=order), strict=True):
        for ours, theirs in (
            (one.ppv, other.ppv),
            (one.peers_ppv["points"], other.peers_ppv["points"]),
        ):
            assert (ours.value, ours.low, ours.high) == pytest.approx(
                (theirs.value, theirs.low, theirs.high)
            )


def test_a_capacity_is_at_least_one_stay():
    (capacity,) = found((0.0001,))
    assert capacity.stays == 1
    assert capacity.ppv.value in (0, 1)
