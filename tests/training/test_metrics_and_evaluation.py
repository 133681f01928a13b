"""Measures against their textbook implementations, and intervals that know patients."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from fhir_mappings.errors import StudyError
from training import metrics
from training.calibration import SMALLEST_SLOPE, fit_platt
from training.evaluate import Risk, evaluate

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


def evaluated(repeats=1, resamples=400, seed=0):
    """``repeats`` identical stays a patient: no more information than one."""
    log_odds, outcome = stays(300, seed)
    log_odds, outcome = np.repeat(log_odds, repeats), np.repeat(outcome, repeats)
    subjects = np.repeat([f"simulated-{i}" for i in range(300)], repeats).astype(object)
    model = Risk(log_odds, expit(log_odds))
    noise = np.random.default_rng(5).normal(size=len(outcome))
    constant = np.full(len(outcome), 0.2)
    baselines = {"noise": Risk(noise, expit(noise)), "prevalence": Risk(constant, constant)}
    return evaluate(model, baselines, outcome, subjects, resamples=resamples, seed=1)


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
        resamples=400,
        seed=1,
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
    monkeypatch.setattr("training.evaluate._CELLS", 300 * 7)
    pieces = evaluated(resamples=50)
    for name, interval in whole.model.items():
        assert msgspec.structs.astuple(pieces.model[name]) == pytest.approx(
            msgspec.structs.astuple(interval), abs=1e-9
        )


def test_an_evaluation_is_json():
    evaluation = evaluated(resamples=20)
    assert json.loads(msgspec.json.encode(evaluation))["model"]["auroc"]["value"] > 0.5


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
