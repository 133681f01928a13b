"""No patient may teach a model and judge it too."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from fhir_mappings.errors import StudyError
from training.split import Split, _nearest, split_stays
from training.study import SplitRules
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
    try:
        split = split_stays(data, seed=seed)
    except StudyError:
        # One patient may hold all stays of an outcome. It says so, and most draws are no such case.
        reject()
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


@pytest.fixture
def at_sites(make_study):
    """Stays of a study at sites with these shares; patients keep to a site nine times in ten."""

    def build(shares, stays=1_500, seed=1, **study):
        data = make_study(stays, seed=seed, **study)
        random = np.random.default_rng(seed)
        names = np.array(list(shares), dtype=object)
        subjects, owner = np.unique(data.subjects.astype(str), return_inverse=True)
        odds = np.array(list(shares.values())) / sum(shares.values())
        own = random.choice(names, len(subjects), p=odds)[owner]
        elsewhere = random.choice(names, len(data), p=odds)
        site = np.where(random.random(len(data)) < 0.9, own, elsewhere)
        return replace(data, stays=data.stays.assign(site=site))

    return build


THREE = {"Central": 0.5, "Harbour": 0.22, "North": 0.28}


def test_a_whole_site_is_kept_for_the_test_and_no_patient_is_in_both_parts(at_sites):
    data = at_sites(THREE)
    split = split_stays(data, seed=4, rules=SplitRules(by="site", test_sites=("North",)))
    assert_patient_disjoint(data, split)
    site = data.groups()["site"].to_numpy()
    assert set(site[split.test]) == {"North"}
    assert "North" not in set(site[split.train])
    assert split.sentence.startswith("By site")
    assert "those at North" in split.sentence


def test_patients_seen_at_both_kinds_of_site_go_to_one_side_and_are_counted(at_sites):
    data = at_sites(THREE, stays_a_patient=4)
    split = split_stays(data, seed=4, rules=SplitRules(by="site", test_sites=("North",)))
    north = (data.groups()["site"] == "North").to_numpy()
    both = set(data.subjects[north]) & set(data.subjects[~north])
    assert both & set(data.subjects[split.train])
    assert both & set(data.subjects[split.test])
    neither = int((~split.train & ~split.test).sum())
    assert neither > 0
    assert f"{neither} of their stays are in neither part" in split.sentence


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.2, {"Harbour"}),
        (0.28, {"North"}),
        (0.72, {"Central", "Harbour"}),
        (0.9, {"Central", "North"}),
    ],
)
def test_the_sites_chosen_come_nearest_to_the_share_asked_for(at_sites, share, expected):
    data = at_sites(THREE, stays_a_patient=1.0)
    rules = SplitRules(by="site", test_share=share)
    split = split_stays(data, seed=4, rules=rules)
    assert set(data.groups()["site"][split.test]) == expected


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=8), share=st.floats(0.05, 0.95))
def test_no_other_choice_of_sites_comes_nearer(sizes, share):
    wanted = share * sum(sizes)
    chosen = _nearest(sizes, wanted)
    assert len(chosen) == len(set(chosen))
    assert 0 < len(chosen) < len(sizes)
    best = min(
        abs(sum(some) - wanted)
        for count in range(1, len(sizes))
        for some in combinations(sizes, count)
    )
    assert abs(sum(sizes[position] for position in chosen) - wanted) == pytest.approx(best)


def test_stays_without_a_site_are_in_neither_part_and_the_sentence_says_how_many(at_sites):
    data = at_sites(THREE)
    data.stays.loc[data.stays.index[:40], "site"] = None
    split = split_stays(data, seed=4, rules=SplitRules(by="site"))
    assert not (split.train | split.test)[:40].any()
    assert "40 stays without a recorded site are in neither" in split.sentence


@pytest.mark.parametrize(
    ("shares", "rules", "words"),
    [
        (None, {}, "do not say the site of any stay"),
        ({"Central": 1.0}, {}, "every stay is of one site, Central"),
        (THREE, {"test_sites": ("Nort",)}, "no stay is of the test site Nort; the sites are Cen"),
        (THREE, {"test_sites": tuple(THREE)}, "none is left to train on"),
    ],
)
def test_a_split_by_site_that_cannot_be_made_is_refused(make_study, at_sites, shares, rules, words):
    data = make_study(400) if shares is None else at_sites(shares, 400)
    with pytest.raises(StudyError, match=words):
        split_stays(data, seed=1, rules=SplitRules(by="site", **rules))


def test_a_site_with_hardly_a_readmission_cannot_judge_a_model(at_sites):
    data = at_sites(THREE)
    data.outcome[(data.groups()["site"] == "North").to_numpy()] = False
    with pytest.raises(StudyError, match="the test part would hold 0 stays with a readmission"):
        split_stays(data, seed=1, rules=SplitRules(by="site", test_sites=("North",)))


def test_a_split_by_time_is_refused_where_dates_are_shifted(make_study):
    data = make_study(800, calendar=False)
    with pytest.raises(StudyError, match="dates are shifted"):
        split_stays(data, seed=1, rules=SplitRules(by="time"))


def test_a_split_by_time_that_is_asked_for_never_becomes_one_by_patient(make_study):
    data = make_study(400)
    late = data.stays["discharged"] > data.stays["discharged"].quantile(0.7)
    data.outcome[late.to_numpy()] = False
    assert split_stays(data, seed=1).sentence.startswith("By patient")
    with pytest.raises(StudyError, match="the test part would hold 0"):
        split_stays(data, seed=1, rules=SplitRules(by="time"))


def test_patients_are_dealt_where_the_study_asks_for_it_although_dates_compare(make_study):
    data = make_study(800)
    split = split_stays(data, seed=1, rules=SplitRules(by="patient", test_share=0.35))
    assert split.sentence.startswith("By patient, as the study asks")
    assert (split.train | split.test).all()
    assert 0.3 < split.test.mean() < 0.4
    assert_patient_disjoint(data, split)


def test_the_share_of_a_split_by_time_may_be_another(make_study):
    data = make_study(800, stays_a_patient=1.0)
    split = split_stays(data, seed=1, rules=SplitRules(by="time", test_share=0.4))
    assert 0.36 < split.test.sum() / (split.test.sum() + split.train.sum()) < 0.44
