"""How steady the strongest features are over resampled simulated patients."""

import numpy as np
import pytest
import xgboost

from training.explanation.importance import Contributions, contributions
from training.explanation.stability import TOP, _drawn, stability
from training.fit import Fit, refit
from training.split import split_stays
from training.study_data import StudyData


@pytest.fixture(scope="module")
def learning(study) -> StudyData:
    return study.subset(split_stays(study, seed=3).train)


@pytest.fixture(scope="module")
def explained(risk_model, study) -> Contributions:
    return contributions(risk_model, study.subset(split_stays(study, seed=3).test))


def test_what_drives_the_outcome_is_among_the_strongest_of_every_refit(learning, fit, explained):
    found = stability(learning, fit, explained, refits=4, seed=1)
    times = {each.feature: each.times_in_top_ten for each in found.features}
    assert [times[name] for name in ("f0", "f1", "f2")] == [4, 4, 4]
    ranks = {each.feature: each.median_rank for each in found.features}
    assert max(ranks[name] for name in ("f0", "f1", "f2")) <= 3
    assert found.refits == 4
    assert 0 < found.mean_overlap <= 1


def test_the_same_seed_gives_the_same_and_another_draws_others(learning, fit, explained):
    first = stability(learning, fit, explained, refits=3, seed=1)
    assert stability(learning, fit, explained, refits=3, seed=1) == first
    assert stability(learning, fit, explained, refits=3, seed=2) != first


def test_without_refits_nothing_is_said_of_the_overlap(learning, fit, explained):
    found = stability(learning, fit, explained, refits=0, seed=1)
    assert (found.refits, found.mean_overlap, found.features) == (0, None, ())


def test_patients_are_drawn_with_all_their_stays(learning):
    drawn = _drawn(learning, np.random.default_rng(5))
    times = np.bincount(drawn, minlength=len(learning))
    for subject in np.unique(learning.subjects.astype(str)):
        assert len(set(times[learning.subjects == subject].tolist())) == 1
    patients = len(np.unique(learning.subjects.astype(str)))
    left_out = 1 - len(np.unique(learning.subjects[drawn].astype(str))) / patients
    assert left_out == pytest.approx(np.exp(-1), abs=0.05)


def test_a_refit_on_the_same_stays_is_the_model(learning, fit):
    again = refit(
        learning.features,
        learning.values,
        learning.outcome,
        used=fit.used,
        rounds=fit.rounds,
        seed=3,
    )
    assert again.save_raw("ubj") == fit.booster.save_raw("ubj")


def test_noise_is_less_steady_than_what_drives_the_outcome(make_study):
    """Thirty features; the outcome depends on three of them, or on none."""

    def overlap(effect: float) -> float:
        data = make_study(700, noise=26, effect=effect, intercept=-1.0).ordered()
        everything = np.ones(30, dtype=np.bool_)
        booster = refit(
            data.features, data.values, data.outcome, used=everything, rounds=30, seed=1
        )
        whole = Fit(booster, 30, everything, np.zeros(len(data)), 0.0)
        shares = booster.predict(xgboost.DMatrix(data.values), pred_contribs=True)[:, :-1]
        asked = Contributions(data.features, shares.astype(float), data.values, 0.0, len(data))
        found = stability(data, whole, asked, refits=4, seed=1)
        assert len([f for f in found.features if f.times_in_top_ten == 4]) <= TOP
        return found.mean_overlap

    assert overlap(2.0) > overlap(0.0)
