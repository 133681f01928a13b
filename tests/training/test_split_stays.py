"""No patient may teach a model and judge it too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.errors import StudyError
from training.split import Split, split_stays
from training.study_data import StudyData


def assert_patient_disjoint(data: StudyData, split: Split) -> None:
    assert not set(data.subjects[split.train]) & set(data.subjects[split.test])
    assert ((split.folds >= 0) == split.train).all()
    for subject in set(data.subjects[split.train]):
        rows = split.train & (data.subjects == subject)
        assert len(set(split.folds[rows])) == 1


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    stays=st.integers(150, 500),
    calendar=st.booleans(),
    stays_a_patient=st.floats(1.0, 6.0),
)
def test_no_patient_is_in_two_parts_or_two_folds(
    make_study, seed, stays, calendar, stays_a_patient
):
    data = make_study(stays, seed=seed, calendar=calendar, stays_a_patient=stays_a_patient)
    split = split_stays(data, seed=seed)
    assert_patient_disjoint(data, split)
    for fold in range(split.folds.max() + 1):
        outcomes = data.outcome[split.folds == fold]
        assert 0 < outcomes.sum() < len(outcomes)


def test_where_dates_compare_the_test_stays_are_the_latest(make_study):
    data = make_study(800, calendar=True)
    split = split_stays(data, seed=1)
    discharged = data.stays["discharged"]
    assert discharged[split.train].max() < discharged[split.test].min()
    assert split.sentence.startswith("By time")


def test_patients_on_both_sides_of_the_date_are_found_in_both_parts(make_study):
    data = make_study(800, calendar=True, stays_a_patient=4)
    split = split_stays(data, seed=1)
    late = data.stays["discharged"] >= data.stays["discharged"][split.test].min()
    straddling = set(data.subjects[late]) & set(data.subjects[~late])
    assert straddling & set(data.subjects[split.train])
    assert straddling & set(data.subjects[split.test])


def test_where_dates_are_shifted_patients_are_dealt_and_the_sentence_says_so(make_study):
    data = make_study(800, calendar=False)
    split = split_stays(data, seed=1)
    assert split.sentence.startswith("By patient, because this site's dates are shifted")
    assert (split.train | split.test).all()
    assert 0.15 < split.test.mean() < 0.25


def test_a_split_does_not_depend_on_the_order_of_the_rows(make_study):
    for calendar in (True, False):
        data = make_study(400, calendar=calendar)
        order = np.random.default_rng(0).permutation(len(data))
        split, shuffled = split_stays(data, seed=5), split_stays(data.subset(order), seed=5)
        assert (split.test[order] == shuffled.test).all()


def test_twenty_five_readmissions_in_150_stays_are_enough(make_study):
    data = make_study(150, seed=2, intercept=-2.6)
    assert 18 <= data.outcome.sum() <= 32
    split = split_stays(data, seed=1)
    assert data.outcome[split.test].sum() >= 3
    assert data.outcome[split.train].sum() >= 10


@pytest.mark.parametrize(("value", "words"), [(False, "no stay"), (True, "every stay")])
def test_a_single_outcome_class_is_refused(make_study, value, words):
    data = make_study(200)
    data.outcome[:] = value
    with pytest.raises(StudyError, match=f"nothing to learn: {words}"):
        split_stays(data, seed=1)


def test_too_few_readmissions_are_refused_with_their_number(make_study):
    data = make_study(200)
    data.outcome[:] = False
    data.outcome[:6] = True
    with pytest.raises(StudyError, match=r"too few patients.*200 stays, 6 readmissions"):
        split_stays(data, seed=1)


def test_readmissions_of_a_single_patient_are_refused(make_study):
    data = make_study(200, calendar=False)
    data.subjects[:30] = "simulated-one"
    data.outcome[:] = False
    data.outcome[:30] = True
    with pytest.raises(StudyError):
        split_stays(data, seed=1)
