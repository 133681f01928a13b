"""Calibration and decision curves. All patients are simulated."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit, logit

from training.evaluation.curves import THRESHOLDS, calibration_curve, decision_curve
from training.evaluation.measures import Risk


def simulated(stays=2_000, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1.0, stays))
    subjects = random.integers(0, stays // 2, stays).astype(str).astype(object)
    return risk, random.random(stays) < risk, subjects


def test_tenths_hold_every_stay_once_with_wilson_intervals():
    risk, outcome, subjects = simulated()
    groups = calibration_curve(risk, outcome, subjects, seed=1).groups
    assert [group.stays for group in groups] == [200] * 10
    first = np.sort(risk)[:200]
    assert groups[0].predicted == pytest.approx(first.mean())
    readmitted = outcome[np.argsort(risk)[:200]].sum()
    share, z = readmitted / 200, 1.959964
    centre = (share + z**2 / 400) / (1 + z**2 / 200)
    half = z / (1 + z**2 / 200) * np.sqrt(share * (1 - share) / 200 + z**2 / 160_000)
    observed = groups[0].observed
    assert (observed.value, observed.low, observed.high) == pytest.approx(
        (share, centre - half, centre + half), abs=1e-6
    )


def test_stays_of_equal_risk_are_in_one_group():
    outcome = np.arange(400) % 4 == 0
    risk = np.repeat([0.1, 0.2, 0.4], [240, 100, 60])
    curve = calibration_curve(risk, outcome, np.arange(400).astype(str).astype(object), seed=1)
    assert [(g.stays, round(g.predicted, 3)) for g in curve.groups] == [
        (240, 0.1),
        (100, 0.2),
        (60, 0.4),
    ]


def test_the_smooth_curve_of_true_risks_is_the_diagonal_and_of_halved_ones_is_twice_it():
    risk, outcome, subjects = simulated(8_000)
    for stated, expected in ((risk, lambda x: x), (risk / 2, lambda x: 2 * x)):
        points = calibration_curve(stated, outcome, subjects, seed=1).smooth
        assert len(points) > 20
        assert all(a.predicted < b.predicted for a, b in pairwise(points))
        inner = points[5:-5]
        assert max(abs(p.observed - expected(p.predicted)) for p in inner) < 0.05
        near = sum(p.low <= expected(p.predicted) <= p.high for p in inner)
        assert near > 0.7 * len(inner)


def test_the_smooth_curve_sees_exaggeration():
    risk, outcome, subjects = simulated(8_000)
    points = calibration_curve(expit(2 * logit(risk)), outcome, subjects, seed=1).smooth
    assert points[0].low > points[0].predicted
    assert points[-1].high < points[-1].predicted


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_risks_that_are_mostly_one_value_have_no_smooth_curve(share):
    risk, outcome, subjects = simulated(500)
    risk[: int(share * 500)] = 0.2
    curve = calibration_curve(risk, outcome, subjects, seed=1)
    assert curve.smooth == ()
    assert sum(group.stays for group in curve.groups) == 500


def test_few_distinct_risks_do_not_break_the_smooth_curve():
    risk, outcome, subjects = simulated(300)
    curve = calibration_curve(np.round(risk, 1), outcome, subjects, seed=1)
    for point in curve.smooth:
        assert 0 <= point.observed <= 1


def test_the_curve_does_not_depend_on_the_order_of_rows():
    risk, outcome, subjects = simulated(500)
    order = np.random.default_rng(5).permutation(500)
    first = calibration_curve(risk, outcome, subjects, seed=1)
    second = calibration_curve(risk[order], outcome[order], subjects[order], seed=1)
    for one, other in zip(first.groups, second.groups, strict=True):
        assert (one.stays, one.observed) == (other.stays, other.observed)
        assert one.predicted == pytest.approx(other.predicted)
    for one, other in zip(first.smooth, second.smooth, strict=True):
        assert (one.observed, one.low, one.high) == pytest.approx(
            (other.observed, other.low, other.high), abs=1e-9
        )


def decided(resamples=100):
    risk, outcome, subjects = simulated()
    constant = np.full(len(risk), outcome.mean())
    peers = {"prevalence": Risk(constant, constant), "halved": Risk(risk, risk / 2)}
    return outcome, decision_curve(
        Risk(risk, risk), peers, outcome, subjects, resamples=resamples, seed=1
    )


def test_acting_on_everyone_costs_the_threshold_odds_for_each_needless_follow_up():
    outcome, curve = decided()
    assert tuple(point.threshold for point in curve) == THRESHOLDS
    for point in curve:
        odds = point.threshold / (1 - point.threshold)
        assert point.everyone == pytest.approx(outcome.mean() - (1 - outcome.mean()) * odds)


def test_the_prevalence_acts_on_everyone_or_on_none():
    outcome, curve = decided()
    for point in curve:
        expected = point.everyone if point.threshold <= outcome.mean() else 0
        assert point.peers["prevalence"].value == pytest.approx(expected)


def test_true_risks_are_worth_more_than_distorted_ones_and_than_treating_all_or_none():
    _, curve = decided()
    for point in curve:
        assert point.model.value >= max(0, point.everyone) - 0.005
        assert point.model.low <= point.model.value <= point.model.high
    middle = curve[6]
    assert middle.model.value > middle.peers["halved"].value
