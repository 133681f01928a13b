"""The learning curve of a simulated study: nested shares, the same test stays, intervals."""

from dataclasses import replace

import numpy as np
import pytest

from training.findings import Learning
from training.learning_curve import learning_curve, learning_plot
from training.split import split_stays

SHARES = (1.0, 0.1, 0.5)


@pytest.fixture(scope="module")
def split(study):
    return split_stays(study, seed=3)


@pytest.fixture(scope="module")
def learning(study, split, fit) -> Learning:
    return learning_curve(study, split, fit, SHARES, resamples=50, seed=3)


def test_points_rise_to_all_training_stays(learning, study, split):
    assert [point.share for point in learning.points] == [0.1, 0.5, 1.0]
    stays = [point.stays for point in learning.points]
    assert stays == sorted(set(stays))
    assert learning.points[-1].stays == int(split.train.sum())
    assert learning.points[-1].readmissions == int(study.outcome[split.train].sum())
    assert learning.points[1].stays == pytest.approx(stays[-1] / 2, rel=0.15)


def test_more_stays_make_a_better_model_where_there_is_something_to_learn(learning):
    few, all_of_them = learning.points[0], learning.points[-1]
    assert all_of_them.auroc.value > few.auroc.value
    assert all_of_them.log_loss.value < few.log_loss.value


def test_every_point_has_intervals(learning):
    for point in learning.points:
        for measured in (point.auroc, point.log_loss):
            assert measured.low < measured.value < measured.high


def test_a_point_does_not_depend_on_which_others_are_asked_for(learning, study, split, fit):
    alone = learning_curve(study, split, fit, (0.5,), resamples=50, seed=3)
    assert alone.points == (learning.points[1],)


def test_the_patients_of_a_share_are_the_first_of_a_larger_one(learning, study, split, fit):
    """Another seed brings patients in another order, but ends with the same stays."""
    other = learning_curve(study, split, fit, (0.1, 1.0), resamples=10, seed=4)
    assert other.points[0].stays != learning.points[0].stays
    assert other.points[1].stays == learning.points[-1].stays


def test_a_share_too_small_to_fit_on_is_left_out(study, split, fit):
    assert learning_curve(study, split, fit, (0.005,), resamples=10, seed=3).points == ()
    assert learning_curve(study, split, fit, (), resamples=10, seed=3).points == ()


def test_a_share_whose_readmissions_are_all_of_one_patient_is_left_out(study, split, fit):
    """The trees that must not see this patient would have no readmission to learn from."""
    patient = study.subjects[split.train][0]
    only = (study.subjects == patient) & split.train
    many = np.flatnonzero(split.train & (split.folds == split.folds[only][0]))[:12]
    subjects, outcome = study.subjects.copy(), np.zeros(len(study), dtype=np.bool_)
    subjects[many] = patient
    outcome[many] = True
    one = replace(study, subjects=subjects, outcome=outcome | split.test)
    assert learning_curve(one, split, fit, (1.0,), resamples=10, seed=3).points == ()


def test_the_plot_says_what_it_rests_on_and_is_the_same_twice(learning):
    source = "240 test stays, simulated records"
    svg = learning_plot(learning, source)
    assert svg == learning_plot(learning, source)
    assert source in svg
    assert f"{learning.points[-1].stays:,}" in svg
    assert "AUROC" in svg
    assert "log loss" in svg


def test_no_points_make_an_empty_plot_and_no_fault():
    assert "Would more stays help?" in learning_plot(Learning(()), "simulated records")
