"""Logistic regression as a peer: fair to it, and steady."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from fhir_mappings.errors import StudyError
from training.logistic import STRENGTHS, fit_logistic


def simulated(stays=1_500, noise=20, seed=0):
    """Log-odds follow the first feature and whether the second is missing."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(stays, 2 + noise)).astype(np.float32)
    unknown = random.random(stays) < 0.4
    log_odds = 0.9 * values[:, 0] + 1.2 * unknown - 1.8
    values[unknown, 1] = np.nan
    folds = random.integers(0, 5, stays).astype(np.int8)
    return values, random.random(stays) < expit(log_odds), folds, expit(log_odds)


def test_it_finds_what_is_linear_and_what_is_told_by_a_missing_value():
    fitted = fit_logistic(*simulated(4_000)[:3])
    values, outcome, _, truth = simulated(4_000, seed=1)
    risk = fitted.probability(values)
    assert roc_auc_score(outcome, truth) - roc_auc_score(outcome, risk) < 0.01
    assert risk.mean() == pytest.approx(outcome.mean(), abs=0.03)
    assert np.corrcoef(risk, truth)[0, 1] > 0.97


def test_the_penalty_is_stronger_where_features_tell_nothing():
    values, outcome, folds, _ = simulated(400, noise=150)
    shuffled = np.random.default_rng(0).permutation(outcome)
    nothing = fit_logistic(values, shuffled, folds)
    telling = fit_logistic(*simulated(4_000, noise=0)[:3])
    assert min(STRENGTHS) <= nothing.strength < telling.strength
    assert np.std(nothing.probability(values)) < 0.1


def test_the_same_stays_give_the_same_risks():
    values, outcome, folds, _ = simulated()
    first, second = (fit_logistic(values, outcome, folds).probability(values) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_features_without_values_or_without_spread_and_new_gaps_are_no_obstacle():
    values, outcome, folds, _ = simulated()
    values[:, 2] = np.nan
    values[:, 3] = 7
    fitted = fit_logistic(values, outcome, folds)
    unseen = values[:10].copy()
    unseen[:, 0] = np.nan
    unseen[:, 2] = 1e6
    risk = fitted.probability(unseen)
    assert np.isfinite(risk).all()
    nothing = fitted.probability(np.full((1, values.shape[1]), np.nan))
    assert 0 < nothing[0] < 1


def test_a_feature_on_a_scale_of_its_own_changes_nothing():
    values, outcome, folds, _ = simulated(400)
    in_other_units = values.copy()
    in_other_units[:, 0] = values[:, 0] * 1024 + 512
    risk = fit_logistic(values, outcome, folds).probability(values)
    other = fit_logistic(in_other_units, outcome, folds).probability(in_other_units)
    assert other == pytest.approx(risk, abs=1e-3)


def test_one_outcome_only_is_refused():
    values, outcome, folds, _ = simulated(100)
    with pytest.raises(StudyError, match="with and without"):
        fit_logistic(values, np.zeros_like(outcome), folds)
