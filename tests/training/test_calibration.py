"""Platt scaling: right on the whole, rising and finite, whatever the margins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from fhir_mappings.errors import StudyError
from training.calibration import SMALLEST_SLOPE, fit_platt


def stays(count=2_000, seed=0):
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1.5, 1.0, count)
    return log_odds, random.random(count) < expit(log_odds)


def test_platt_recovers_slope_and_intercept():
    log_odds, outcome = stays(50_000)
    platt = fit_platt((log_odds - 0.5) / 1.5, outcome)
    assert platt.slope == pytest.approx(1.5, abs=0.06)
    assert platt.intercept == pytest.approx(0.5, abs=0.06)
    assert platt.probability((log_odds - 0.5) / 1.5).mean() == pytest.approx(
        outcome.mean(), abs=1e-4
    )


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: {y for _, y in rows} == {True, False}
    )
)
def test_platt_is_finite_rising_and_right_on_the_whole_for_any_margins(rows):
    margin = np.array([m for m, _ in rows])
    outcome = np.array([y for _, y in rows])
    platt = fit_platt(margin, outcome)
    assert np.isfinite([platt.slope, platt.intercept]).all()
    assert platt.slope >= SMALLEST_SLOPE
    positives, negatives = outcome.sum(), (~outcome).sum()
    softened = positives * (positives + 1) / (positives + 2) + negatives / (negatives + 2)
    assert platt.probability(margin).sum() == pytest.approx(softened, rel=1e-4)


def test_platt_of_separated_outcomes_stays_finite():
    platt = fit_platt(np.array([-1.0] * 10 + [1.0] * 10), np.array([False] * 10 + [True] * 10))
    assert platt.probability([1.0])[0] == pytest.approx(11 / 12, abs=1e-6)


def test_platt_never_turns_a_ranking_round():
    log_odds, outcome = stays()
    assert fit_platt(-log_odds, outcome).slope == SMALLEST_SLOPE


def test_platt_needs_both_outcomes():
    with pytest.raises(StudyError, match="with and without a readmission"):
        fit_platt(np.zeros(5), np.zeros(5, dtype=bool))
