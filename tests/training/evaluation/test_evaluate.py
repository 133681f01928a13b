"""Intervals that know patients, and paired differences."""

import json

import msgspec
import numpy as np
import pytest
from scipy.special import expit

from training.evaluation.evaluate import evaluate
from training.evaluation.measures import Risk
from training.findings import Evaluation
from training.study import EvaluationRules


def stays(count=2_000, seed=0):
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1.5, 1.0, count)
    return log_odds, random.random(count) < expit(log_odds)


def choices(resamples):
    rules = EvaluationRules(resamples=resamples)
    return {"deaths": 2, "weeks": 10.0, "high_from": 0.3, "rules": rules, "seed": 1}


def evaluated(repeats=1, resamples=400, seed=0):
    """``repeats`` identical stays a patient: no more information than one."""
    log_odds, outcome = stays(300, seed)
    log_odds, outcome = np.repeat(log_odds, repeats), np.repeat(outcome, repeats)
    subjects = np.repeat([f"simulated-{i}" for i in range(300)], repeats).astype(object)
    model = Risk(log_odds, expit(log_odds))
    noise = np.random.default_rng(5).normal(size=len(outcome))
    constant = np.full(len(outcome), 0.2)
    baselines = {"noise": Risk(noise, expit(noise)), "prevalence": Risk(constant, constant)}
    return evaluate(model, baselines, outcome, subjects, **choices(resamples))


def width(interval):
    return interval.high - interval.low


def test_intervals_contain_their_value_and_a_better_ranking_shows_in_the_difference():
    evaluation = evaluated()
    for interval in evaluation.model.values():
        assert interval.low < interval.value < interval.high
    difference = evaluation.differences["noise"]["auroc"]
    noise = evaluation.baselines["noise"]["auroc"]
    assert difference.value == pytest.approx(evaluation.model["auroc"].value - noise.value)
    assert difference.low > 0
    assert evaluation.differences["noise"]["brier"].high < 0


def test_repeating_each_patients_stay_does_not_narrow_the_interval():
    """Resampling stays would make the interval of four-fold data half as wide."""
    single, fourfold = evaluated().model["auroc"], evaluated(repeats=4).model["auroc"]
    assert fourfold.value == pytest.approx(single.value)
    assert width(fourfold) == pytest.approx(width(single), rel=1e-9)


def test_the_difference_is_paired():
    """Two nearly equal rankings differ far less than their own intervals are wide."""
    log_odds, outcome = stays(300)
    subjects = np.array([f"simulated-{i}" for i in range(300)], dtype=object)
    near = log_odds + np.random.default_rng(1).normal(0, 0.05, 300)
    evaluation = evaluate(
        Risk(log_odds, expit(log_odds)),
        {"near": Risk(near, expit(near))},
        outcome,
        subjects,
        **choices(400),
    )
    difference = evaluation.differences["near"]["auroc"]
    assert width(difference) < 0.3 * width(evaluation.model["auroc"])


def test_a_constant_risk_ranks_like_chance_and_has_no_slope():
    prevalence = evaluated().baselines["prevalence"]
    assert prevalence["auroc"].value == 0.5
    assert prevalence["calibration_slope"].value is None
    assert prevalence["calibration_intercept"].value is not None


def test_resampling_in_pieces_draws_the_same_patients(monkeypatch):
    whole = evaluated(resamples=50)
    monkeypatch.setattr("training.evaluation.resampling.CELLS", 300 * 7)
    pieces = evaluated(resamples=50)
    for name, interval in whole.model.items():
        assert msgspec.structs.astuple(pieces.model[name]) == pytest.approx(
            msgspec.structs.astuple(interval), abs=1e-9
        )


def test_every_peer_is_beside_the_model_in_every_part():
    evaluation = evaluated(resamples=50)
    peers = {"noise", "prevalence"}
    assert set(evaluation.baselines) == set(evaluation.differences) == peers
    assert all(set(each.peers) == peers for each in evaluation.net_benefit)
    assert all(set(each.peers_ppv) == peers for each in evaluation.capacities)
    for measures in evaluation.baselines.values():
        assert list(measures) == list(evaluation.model)
    assert (evaluation.stays, evaluation.patients, evaluation.deaths) == (300, 300, 2)
    assert [each.share for each in evaluation.capacities] == [0.05, 0.1, 0.2]
    assert evaluation.capacities[1].alerts_per_week == 30 / 10


def test_the_order_of_stays_does_not_matter():
    """Ties included: the points of a score have many."""
    random = np.random.default_rng(2)
    log_odds, outcome = stays(300)
    subjects = random.integers(0, 200, 300).astype(str).astype(object)
    points = np.round(log_odds)

    def found(order):
        risks = (Risk(each[order], expit(each[order])) for each in (log_odds, points))
        model, score = risks
        return evaluate(model, {"score": score}, outcome[order], subjects[order], **choices(50))

    first, second = found(np.arange(300)), found(random.permutation(300))
    for measures, same in (
        (first.model, second.model),
        (first.baselines["score"], second.baselines["score"]),
        (first.differences["score"], second.differences["score"]),
    ):
        for name, interval in measures.items():
            assert msgspec.structs.astuple(same[name]) == pytest.approx(
                msgspec.structs.astuple(interval), abs=1e-8
            )


def test_the_interval_is_as_wide_as_theory_says_for_independent_stays():
    """One stay a patient: the share that is flagged has the standard error of a proportion."""
    share = evaluated(resamples=2_000).model["flagged"]
    error = np.sqrt(share.value * (1 - share.value) / 300)
    assert width(share) == pytest.approx(2 * 1.96 * error, rel=0.08)


@pytest.mark.parametrize("readmissions", [0, 1, 8])
def test_a_tiny_test_set_says_what_it_can_and_no_more(readmissions):
    random = np.random.default_rng(4)
    log_odds = random.normal(-1.5, 1, 30)
    outcome = np.arange(30) < readmissions
    subjects = np.array([f"simulated-{i // 2}" for i in range(30)], dtype=object)
    points = np.full(30, 4.0)
    evaluation = evaluate(
        Risk(log_odds, expit(log_odds)),
        {"points": Risk(points, expit(points - 6))},
        outcome,
        subjects,
        **choices(200),
    )
    auroc = evaluation.model["auroc"]
    assert (auroc.value is None) == (readmissions == 0)
    # With one patient who came back, a third of the resamples hold no readmission.
    assert (auroc.low is None) == (readmissions < 8)
    assert evaluation.baselines["points"]["calibration_slope"].value is None
    assert evaluation.model["brier"].low is not None
    assert sum(group.stays for group in evaluation.calibration.groups) == 30
    msgspec.json.decode(msgspec.json.encode(evaluation), type=Evaluation)


def test_an_evaluation_is_json():
    evaluation = evaluated(resamples=20)
    assert json.loads(msgspec.json.encode(evaluation))["model"]["auroc"]["value"] > 0.5
