"""Measures against their textbook implementations, with ties and weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    roc_auc_score,
)

from training.evaluation import metrics
from training.evaluation.measures import Risk, measure_risk

weighted_stays = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)), min_size=4, max_size=60
).filter(lambda rows: {y for _, y, w in rows if w} == {True, False})


@settings(max_examples=60, deadline=None)
@given(rows=weighted_stays)
def test_measures_agree_with_scikit_learn_with_ties_and_weights(rows):
    score = np.array([s for s, _, _ in rows], dtype=float)
    outcome = np.array([y for _, y, _ in rows])
    weights = np.array([w for _, _, w in rows], dtype=float)
    risk = expit(score - 3)
    both = np.vstack([weights, weights * 2])

    def agrees(ours, theirs):
        assert ours == pytest.approx([theirs, theirs], abs=1e-9)

    agrees(
        metrics.auroc(score, outcome, both), roc_auc_score(outcome, score, sample_weight=weights)
    )
    agrees(
        metrics.average_precision(score, outcome, both),
        average_precision_score(outcome, score, sample_weight=weights),
    )
    agrees(
        metrics.brier(risk, outcome, both), brier_score_loss(outcome, risk, sample_weight=weights)
    )
    agrees(metrics.log_loss(risk, outcome, both), log_loss(outcome, risk, sample_weight=weights))


def stays(count=2_000, seed=0):
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1.5, 1.0, count)
    return log_odds, random.random(count) < expit(log_odds)


def test_calibration_slope_and_intercept_are_those_of_a_logistic_regression():
    log_odds, outcome = stays()
    weights = np.random.default_rng(1).integers(0, 3, (2, len(outcome))).astype(float)
    stated = expit(1.7 * log_odds + 0.4)
    slopes = metrics.calibration_slope(stated, outcome, weights)
    intercepts = metrics.calibration_intercept(stated, outcome, weights)
    for row, slope, intercept in zip(weights, slopes, intercepts, strict=True):
        oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(
            logit(stated)[:, None], outcome, sample_weight=row
        )
        assert slope == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
        expected = row @ expit(logit(stated) + intercept)
        assert expected == pytest.approx(row @ outcome, rel=1e-9)


def test_true_risks_have_slope_one_and_intercept_zero_and_distorted_ones_do_not():
    log_odds, outcome = stays(50_000)
    once = np.ones((1, len(outcome)))
    assert metrics.calibration_slope(expit(log_odds), outcome, once)[0] == pytest.approx(
        1, abs=0.06
    )
    assert metrics.calibration_intercept(expit(log_odds), outcome, once)[0] == pytest.approx(
        0, abs=0.05
    )
    assert metrics.calibration_slope(expit(2 * log_odds), outcome, once)[0] == pytest.approx(
        0.5, abs=0.03
    )
    assert metrics.calibration_intercept(expit(log_odds - 0.7), outcome, once)[0] == pytest.approx(
        0.7, abs=0.05
    )


def test_a_resample_without_readmissions_cannot_say():
    log_odds, outcome = stays(50)
    weights = np.vstack([np.ones(50), (~outcome).astype(float)])
    for measure in (metrics.auroc, metrics.average_precision):
        said, unsaid = measure(log_odds, outcome, weights)
        assert np.isfinite(said)
        assert np.isnan(unsaid)
    assert np.isnan(metrics.calibration_intercept(expit(log_odds), outcome, weights)[1])


def test_separated_outcomes_have_no_slope():
    outcome = np.array([False] * 10 + [True] * 10)
    risk = np.linspace(0.1, 0.9, 20)
    assert np.isnan(metrics.calibration_slope(risk, outcome, np.ones((1, 20)))[0])


def test_scaled_brier_is_one_for_perfect_and_nought_for_the_prevalence():
    _, outcome = stays(500)
    once = np.ones((1, 500))
    assert metrics.scaled_brier(outcome.astype(float), outcome, once)[0] == pytest.approx(1)
    constant = np.full(500, outcome.mean())
    assert metrics.scaled_brier(constant, outcome, once)[0] == pytest.approx(0, abs=1e-12)
    assert metrics.scaled_brier(1 - outcome.astype(float), outcome, once)[0] < 0


@settings(max_examples=60, deadline=None)
@given(rows=weighted_stays, high_from=st.integers(0, 6))
def test_the_high_band_agrees_with_scikit_learn(rows, high_from):
    outcome = np.array([y for _, y, _ in rows])
    weights = np.array([[w for _, _, w in rows]], dtype=float)
    high = np.array([s >= high_from for s, _, _ in rows], dtype=float)
    table = confusion_matrix(outcome, high, sample_weight=weights[0], labels=[0, 1])
    (true_negative, false_positive), (false_negative, true_positive) = table
    assert metrics.sensitivity(high, outcome, weights)[0] == pytest.approx(
        true_positive / (true_positive + false_negative)
    )
    assert metrics.specificity(high, outcome, weights)[0] == pytest.approx(
        true_negative / (true_negative + false_positive)
    )
    flagged = true_positive + false_positive
    assert metrics.share_flagged(high, outcome, weights)[0] == pytest.approx(flagged / table.sum())
    ppv = metrics.positive_predictive_value(high, outcome, weights)[0]
    assert np.isnan(ppv) if flagged == 0 else ppv == pytest.approx(true_positive / flagged)


def every_measure(risk, outcome, weights):
    """All that is measured of a risk, one row a measure."""
    told = measure_risk(Risk(logit(risk), risk), outcome, weights, 0.4)
    return np.vstack(
        [
            *told.values(),
            metrics.net_benefit(risk, outcome, weights, [0.1, 0.5]),
            metrics.found_at_the_top(risk, outcome, weights, [0.1, 0.5, 1.0]),
        ]
    )


@settings(max_examples=60, deadline=None)
@given(rows=weighted_stays, seed=st.integers(0, 2**32 - 1))
def test_a_weight_of_two_is_the_same_as_being_there_twice_in_whatever_order(rows, seed):
    risk = expit(np.array([s for s, _, _ in rows], dtype=float) - 3)
    outcome = np.array([y for _, y, _ in rows])
    times = np.array([w for _, _, w in rows])
    weighted = every_measure(risk, outcome, times[None, :].astype(float))
    order = np.random.default_rng(seed).permutation(int(times.sum()))
    repeated_risk, repeated = np.repeat(risk, times)[order], np.repeat(outcome, times)[order]
    plain = every_measure(repeated_risk, repeated, np.ones((1, len(order))))
    np.testing.assert_allclose(weighted, plain, rtol=1e-6, atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(rows=weighted_stays)
def test_each_resample_is_measured_as_if_it_were_alone(rows):
    risk = expit(np.array([s for s, _, _ in rows], dtype=float) - 3)
    outcome = np.array([y for _, y, _ in rows])
    weights = np.array([[w for _, _, w in rows], [1] * len(rows), [0] * len(rows)], dtype=float)
    with np.errstate(invalid="ignore"):
        together = every_measure(risk, outcome, weights)
        alone = np.hstack([every_measure(risk, outcome, weights[[row]]) for row in range(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(rows=weighted_stays, share=st.floats(0.02, 1))
def test_ties_at_capacity_count_by_their_expectation_over_every_order(rows, share):
    """Ranking by the points, then at random, many times, finds as many on average."""
    score = np.array([s for s, _, _ in rows], dtype=float)
    outcome = np.array([y for _, y, _ in rows])
    followed = max(1, round(share * len(rows)))
    once = np.ones((1, len(rows)))
    found = metrics.found_at_the_top(score, outcome, once, [followed / len(rows)])[0, 0]
    last = np.sort(score)[::-1][followed - 1]
    above, tied = score > last, score == last
    expected = outcome[above].sum() + (followed - above.sum()) * outcome[tied].mean()
    assert found == pytest.approx(expected)


def test_ties_at_capacity_by_hand():
    """Two places, one for the first stay, one to share among three of whom one comes back."""
    score = np.array([9.0, 5, 5, 5, 1])
    outcome = np.array([True, False, True, False, True])
    found = metrics.found_at_the_top(score, outcome, np.ones((1, 5)), [0.4])
    assert found[0, 0] == pytest.approx(1 + 1 / 3)


def test_net_benefit_by_hand_and_of_everyone():
    """Of ten stays three are flagged, two rightly; at odds of 1 to 4 the third costs a quarter."""
    risk = np.array([0.9, 0.8, 0.2, *[0.1] * 7])
    outcome = np.array([True, True, False, True, *[False] * 6])
    once = np.ones((1, 10))
    benefit = metrics.net_benefit(risk, outcome, once, [0.2, 0.05])[:, 0]
    assert benefit[0] == pytest.approx(2 / 10 - 1 / 10 * 0.25)
    assert benefit[1] == pytest.approx(0.3 - 0.7 * 0.05 / 0.95)
