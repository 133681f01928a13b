"""Measures against their textbook implementations, with ties and weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from training.evaluation import metrics

weighted_stays = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)), min_size=4, max_size=60
).filter(lambda rows: {y for _, y, w in rows if w} == {True, False})


@settings(max_examples=200, deadline=None)
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
