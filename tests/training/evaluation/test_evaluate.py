"""Intervals that know patients, and paired differences."""

import json

import msgspec
import numpy as np
import pytest
from scipy.special import expit

from training.evaluation.evaluate import evaluate
from training.evaluation.measures import Risk
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


def test_an_evaluation_is_json():
    evaluation = evaluated(resamples=20)
    assert json.loads(msgspec.json.encode(evaluation))["model"]["auroc"]["value"] > 0.5
