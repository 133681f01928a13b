"""Measured and estimated performance, where the truth is made up and therefore known."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from training.monitoring.performance import by_month, estimated, measured

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_704_067_200 * SECOND  # 2024-01-01


@pytest.fixture(scope="module")
def calibrated():
    """Risks and outcomes that follow them exactly."""
    random = np.random.default_rng(7)
    risks = random.beta(1.5, 8, 6_000)
    return risks, random.random(6_000) < risks, np.arange(6_000) // 2


def test_measures_are_those_of_scikit_learn(calibrated):
    risks, outcome, subjects = calibrated
    found = measured(risks, outcome, subjects, 0.25, resamples=20, seed=1)
    assert found["auroc"].value == pytest.approx(roc_auc_score(outcome, risks))
    assert found["brier"].value == pytest.approx(brier_score_loss(outcome, risks))
    assert found["observed_to_expected"].value == pytest.approx(outcome.sum() / risks.sum())
    assert found["ppv"].value == pytest.approx(outcome[risks >= 0.25].mean())
    assert found["sensitivity"].value == pytest.approx((risks >= 0.25)[outcome].mean())


def test_where_the_model_is_calibrated_the_estimate_is_what_is_measured_later(calibrated):
    risks, outcome, subjects = calibrated
    estimate = estimated(risks, subjects, 0.25, resamples=20, seed=1)
    found = measured(risks, outcome, subjects, 0.25, resamples=200, seed=1)
    for name in ("auroc", "brier", "ppv", "sensitivity"):
        assert found[name].low < estimate[name].value < found[name].high, name
    assert estimate["readmission_rate"].value == pytest.approx(risks.mean())


def test_the_expected_brier_score_is_the_mean_of_p_times_one_minus_p(calibrated):
    risks, _, subjects = calibrated
    estimate = estimated(risks, subjects, 0.25, resamples=20, seed=1)
    assert estimate["brier"].value == pytest.approx((risks * (1 - risks)).mean())


def test_the_estimate_cannot_see_that_calibration_is_lost_and_says_so(calibrated):
    """Outcomes twice as frequent as the risks: the estimate stays, the measure moves."""
    risks, _, subjects = calibrated
    outcome = np.random.default_rng(8).random(len(risks)) < np.minimum(1, 2 * risks)
    estimate = estimated(risks, subjects, 0.25, resamples=20, seed=1)
    found = measured(risks, outcome, subjects, 0.25, resamples=200, seed=1)
    assert estimate["ppv"].value < found["ppv"].low
    assert found["observed_to_expected"].low > 1.5


def test_months_hold_what_the_risks_add_up_to(calibrated):
    risks, outcome, _ = calibrated
    discharged = START + np.arange(len(risks)) % 366 * DAY
    months = by_month(risks, outcome, discharged)
    assert [month.month for month in months][:2] == ["2024-01", "2024-02"]
    assert len(months) == 12
    assert sum(month.expected for month in months) == pytest.approx(risks.sum())
    assert sum(month.observed for month in months) == outcome.sum()
    assert sum(month.low <= month.observed <= month.high for month in months) >= 10


def test_months_that_differ_by_more_than_chance_have_wider_intervals(calibrated):
    risks, outcome, _ = calibrated
    discharged = START + np.arange(len(risks)) % 366 * DAY
    uneven = outcome.copy()
    february_to_june = (discharged >= START + 31 * DAY) & (discharged < START + 181 * DAY)
    uneven[february_to_june & (np.arange(len(risks)) % 2 == 0)] = False
    plain, wide = by_month(risks, outcome, discharged), by_month(risks, uneven, discharged)
    assert wide[0].high - wide[0].expected > 1.5 * (plain[0].high - plain[0].expected)
