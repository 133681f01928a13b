"""Trees that repeat themselves, respect clinical directions and are not led astray by noise."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from fhir_mappings.errors import StudyError
from training.calibration import fit_platt
from training.fit import FEWEST_ROUNDS, fit_trees
from training.split import split_stays


def fitted(data, seed=3):
    data = data.ordered()
    split = split_stays(data, seed=seed)
    learning = data.subset(split.train)
    folds = split.folds[split.train]
    return fit_trees(data.features, learning.values, learning.outcome, folds, seed=seed)


def test_the_same_stays_in_any_order_give_the_same_bytes(make_study):
    data = make_study(300)
    order = np.random.default_rng(0).permutation(len(data))
    first, again, shuffled = fitted(data), fitted(data), fitted(data.subset(order))
    trees = first.booster.save_raw("ubj")
    assert trees == again.booster.save_raw("ubj")
    assert trees == shuffled.booster.save_raw("ubj")
    assert (first.out_of_fold == shuffled.out_of_fold).all()


def test_another_seed_gives_other_trees(make_study):
    data = make_study(300)
    trees = fitted(data).booster.save_raw("ubj")
    assert trees != fitted(data, seed=4).booster.save_raw("ubj")


value = st.floats(-6, 6, width=32) | st.just(float("nan"))


@settings(max_examples=200, deadline=None)
@given(
    row=st.lists(value, min_size=10, max_size=10),
    at=st.sampled_from([0, 1, 2]),
    pair=st.tuples(st.floats(-6, 6, width=32), st.floats(-6, 6, width=32)),
)
def test_risk_follows_the_declared_direction(risk_model, row, at, pair):
    low, high = sorted(pair)
    rows = np.array([row, row], dtype=np.float32)
    rows[:, at] = low, high
    lower, higher = risk_model.predict(rows)
    if risk_model.features[at].direction == "raises":
        assert lower <= higher
    else:
        assert lower >= higher


def test_directions_are_not_satisfied_by_ignoring_the_features(risk_model):
    rows = np.zeros((2, 10), dtype=np.float32)
    for column in range(3):
        rows[:] = 0
        rows[:, column] = -3, 3
        low, high = risk_model.predict(rows)
        assert bool(high > low) is (risk_model.features[column].direction == "raises")


def test_out_of_fold_margins_come_from_models_that_did_not_see_the_patient(make_study):
    """On pure noise, trees rank the stays they learned from, and cannot rank the others."""
    data = make_study(400, effect=0.0).ordered()
    split = split_stays(data, seed=1)
    learning = data.subset(split.train)
    fit = fit_trees(
        data.features, learning.values, learning.outcome, split.folds[split.train], seed=1
    )
    seen = fit.booster.predict(xgboost.DMatrix(learning.values), output_margin=True)
    assert roc_auc_score(learning.outcome, seen) > 0.6
    assert roc_auc_score(learning.outcome, fit.out_of_fold) < 0.6


def test_noise_features_are_left_out_and_drivers_kept(fit, make_study):
    many = fitted(make_study(1_500, noise=60))
    assert many.used[:3].all()
    assert many.used[3:].mean() < 0.4
    assert fit.rounds >= FEWEST_ROUNDS


def test_a_feature_that_is_left_out_contributes_nothing(make_study):
    data = make_study(1_500, noise=60)
    fit = fitted(data)
    shares = fit.booster.predict(xgboost.DMatrix(data.values), pred_contribs=True)[:, :-1]
    assert (shares[:, ~fit.used] == 0).all()
    assert (shares[:, fit.used] != 0).any()


def test_150_stays_are_enough_to_split_on(make_study):
    fit = fitted(make_study(150, seed=2, intercept=-2.6))
    assert fit.booster.trees_to_dataframe()["Feature"].ne("Leaf").any()


@pytest.mark.slow
def test_auroc_is_near_the_best_possible_among_a_hundred_noise_features(make_study):
    """Ten simulated drivers, a hundred noise features, 6,000 stays, and fresh stays to judge by."""
    random = np.random.default_rng(31)
    weights = np.array([0.5, 0.45, -0.5, 0.4, -0.4, 0.45, 0.5, -0.35, 0.4, 0.3])

    def stays(count):
        values = random.normal(size=(count, 110)).astype(np.float32)
        truth = values[:, :10] @ weights - 2.0
        return values, truth, random.random(count) < expit(truth)

    values, _, outcome = stays(6_000)
    fresh, truth, happened = stays(20_000)
    template = make_study(200, noise=106)
    features = tuple(
        replace_direction(feature, weight)
        for feature, weight in zip(
            template.features, np.append(weights, np.zeros(100)), strict=True
        )
    )
    fit = fit_trees(features, values, outcome, (np.arange(6_000) % 5).astype(np.int8), seed=1)
    margin = fit.booster.predict(xgboost.DMatrix(fresh), output_margin=True)
    best, reached = roc_auc_score(happened, truth), roc_auc_score(happened, margin)
    assert best - reached < 0.02
    platt = fit_platt(fit.out_of_fold, outcome)
    ideal = fit_platt(margin, happened)
    assert 0.85 < ideal.slope / platt.slope < 1.2


def replace_direction(feature, weight):
    direction = "raises" if weight > 0 else "lowers" if weight < 0 else "either"
    return msgspec.structs.replace(feature, direction=direction)


def test_subset_by_mask_and_by_index_agree(study):
    mask = study.outcome
    by_mask, by_index = study.subset(mask), study.subset(np.flatnonzero(mask))
    assert (by_mask.stays["encounter_id"] == by_index.stays["encounter_id"]).all()
    assert by_mask.outcome.all()


def test_a_study_that_contradicts_itself_is_refused(study):
    with pytest.raises(StudyError, match="features are declared"):
        replace(study, values=study.values[:, 1:])
    infinite = study.values.copy()
    infinite[0, 2] = np.inf
    with pytest.raises(StudyError, match="feature f2 has an infinite value"):
        replace(study, values=infinite)
    with pytest.raises(StudyError, match="differ in number"):
        replace(study, subjects=study.subjects[1:])
    with pytest.raises(StudyError, match="lacks: lace"):
        replace(study, stays=study.stays.drop(columns="lace"))
    with pytest.raises(StudyError, match="hospital score is missing"):
        replace(study, stays=study.stays.assign(hospital=np.nan))
    with pytest.raises(StudyError, match="twice"):
        replace(study, stays=study.stays.assign(encounter_id="one"))
