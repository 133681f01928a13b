"""For whom a model works: groups that fall behind are seen, and small ones give nothing away.

All patients are simulated.
"""

import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import recall_score, roc_auc_score

from training.evaluation.measures import Risk
from training.evaluation.subgroups import fairness
from training.study import ATTRIBUTES, EvaluationRules

RULES = EvaluationRules(resamples=100)
SMALLEST = RULES.smallest_cell


def simulated(stays=1_500, seed=0, shuffled=None):
    """Stays with a sex and a payer; the labels of one payer's can be shuffled."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1.2, 1.0, stays)
    outcome = random.random(stays) < expit(log_odds)
    subjects = random.integers(0, stays // 2, stays).astype(str).astype(object)
    sex = np.where(random.random(stays) < 0.5, "female", "male").astype(object)
    payer = random.choice(["medicare", "medicaid", "private"], stays).astype(object)
    if shuffled:
        part = payer == shuffled
        outcome[part] = random.permutation(outcome[part])
    groups = pd.DataFrame({"sex": sex, "payer": payer})
    return Risk(log_odds, expit(log_odds)), outcome, subjects, groups


def found(risk, outcome, subjects, groups, rules=RULES):
    return fairness(risk, outcome, subjects, groups, high_from=0.3, rules=rules, seed=1)


def by_name(finding, attribute):
    (grouping,) = (each for each in finding.groupings if each.attribute == attribute)
    return grouping, {group.name: group for group in grouping.groups}


def test_measures_and_gaps_are_those_of_the_groups_stays_and_of_all_others():
    risk, outcome, subjects, groups = simulated()
    grouping, payers = by_name(found(risk, outcome, subjects, groups), "payer")
    part = (groups["payer"] == "private").to_numpy()
    private = payers["private"]
    assert (private.stays, private.readmissions) == (part.sum(), outcome[part].sum())
    within = roc_auc_score(outcome[part], risk.ranking[part])
    others = roc_auc_score(outcome[~part], risk.ranking[~part])
    assert private.measures["auroc"].value == pytest.approx(within)
    assert private.gaps["auroc"].value == pytest.approx(within - others)
    assert private.gaps["auroc"].low < private.gaps["auroc"].value < private.gaps["auroc"].high
    assert (grouping.label, grouping.recorded) == ("Payer", len(outcome))


def test_differences_between_groups_are_the_largest_between_any_two():
    risk, outcome, subjects, groups = simulated()
    grouping, payers = by_name(found(risk, outcome, subjects, groups), "payer")
    sensitivities = [
        recall_score(outcome[part], risk.probability[part] >= 0.3)
        for part in ((groups["payer"] == name).to_numpy() for name in payers)
    ]
    assert grouping.equal_opportunity_difference == pytest.approx(np.ptp(sensitivities))
    shares = [payer.measures["flagged"].value for payer in payers.values()]
    assert grouping.demographic_parity_difference == pytest.approx(np.ptp(shares))


def test_two_groups_have_opposite_gaps():
    _, sexes = by_name(found(*simulated()), "sex")
    for name, gap in sexes["female"].gaps.items():
        assert sexes["male"].gaps[name].value == pytest.approx(-gap.value)
        assert sexes["male"].gaps[name].low == pytest.approx(-gap.high)


def test_a_group_with_shuffled_labels_falls_behind_and_the_others_do_not():
    _, payers = by_name(found(*simulated(shuffled="medicaid")), "payer")
    assert payers["medicaid"].gaps["auroc"].high < -0.05
    assert payers["private"].gaps["auroc"].low > -0.05
    assert payers["medicare"].gaps["auroc"].low > -0.05


def test_groups_that_are_alike_have_gaps_around_nought():
    _, sexes = by_name(found(*simulated(seed=2)), "sex")
    for name in ("auroc", "calibration_intercept", "sensitivity", "flagged"):
        gap = sexes["female"].gaps[name]
        assert gap.low < 0 < gap.high


def test_attributes_that_no_record_says_are_absent_and_unrecorded_stays_are_no_group():
    risk, outcome, subjects, groups = simulated()
    groups.loc[:99, "sex"] = None
    groups["race"] = None
    groups["language"] = np.nan
    finding = found(risk, outcome, subjects, groups)
    assert finding.absent == tuple(name for name in ATTRIBUTES if name not in ("sex", "payer"))
    sex, sexes = by_name(finding, "sex")
    assert sex.recorded == len(outcome) - 100
    assert set(sexes) == {"female", "male"}
    men = (groups["sex"] == "male").to_numpy()
    others = roc_auc_score(outcome[~men], risk.ranking[~men])
    assert sexes["male"].gaps["auroc"].value == pytest.approx(
        sexes["male"].measures["auroc"].value - others
    )


def test_a_group_of_everyone_has_no_gap():
    risk, outcome, subjects, groups = simulated(300)
    groups["sex"] = "female"
    sex, sexes = by_name(found(risk, outcome, subjects, groups), "sex")
    assert sexes["female"].gaps == {}
    assert sex.equal_opportunity_difference is None


def test_a_small_group_takes_the_next_smallest_with_it():
    """Otherwise the total less the groups that are shown would be the small group."""
    risk, outcome, subjects, groups = simulated()
    payer = np.array(["medicare"] * 900 + ["private"] * 350 + ["medicaid"] * 245 + ["none"] * 5)
    groups["payer"] = np.random.default_rng(0).permutation(payer)
    grouping, payers = by_name(found(risk, outcome, subjects, groups), "payer")
    assert {name for name, group in payers.items() if group.suppressed} == {"none", "medicaid"}
    for name in ("none", "medicaid"):
        group = payers[name]
        assert (group.stays, group.readmissions, group.measures, group.gaps) == (
            None,
            None,
            {},
            {},
        )
    sensitivity = [payers[name].measures["sensitivity"].value for name in ("medicare", "private")]
    assert grouping.equal_opportunity_difference == pytest.approx(np.ptp(sensitivity))


@pytest.mark.parametrize("rare", [True, False])
def test_a_large_group_with_few_of_either_outcome_is_suppressed(rare):
    risk, outcome, subjects, groups = simulated()
    part = (groups["payer"] == "private").to_numpy()
    outcome[part] = not rare
    outcome[np.flatnonzero(part)[: SMALLEST - 1]] = rare
    _, payers = by_name(found(risk, outcome, subjects, groups), "payer")
    assert payers["private"].suppressed


def test_where_one_of_two_groups_is_small_neither_is_shown():
    risk, outcome, subjects, groups = simulated(400)
    groups["sex"] = ["other"] * 6 + ["female"] * 394
    sex, sexes = by_name(found(risk, outcome, subjects, groups), "sex")
    assert all(group.suppressed for group in sexes.values())
    assert sex.demographic_parity_difference is None


def test_an_attribute_recorded_for_a_handful_only_is_absent():
    """``recorded`` would tell how many they are."""
    risk, outcome, subjects, groups = simulated(400)
    groups["language"] = ["Finnish"] * (SMALLEST - 1) + [None] * (401 - SMALLEST)
    assert "language" in found(risk, outcome, subjects, groups).absent


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6),
    smallest=st.integers(1, 15),
)
def test_nothing_small_is_shown_or_follows_from_what_is_shown(sizes, smallest):
    """Groups by stays with and without a readmission; the totals are public."""
    outcome = np.concatenate([[True] * a + [False] * b for a, b in sizes] + [[]]).astype(bool)
    if len(outcome) == 0:
        return
    names = np.repeat([f"site {i}" for i in range(len(sizes))], [a + b for a, b in sizes])
    log_odds = np.linspace(-2, 1, len(outcome))
    finding = found(
        Risk(log_odds, expit(log_odds)),
        outcome,
        np.arange(len(outcome)).astype(str).astype(object),
        pd.DataFrame({"site": names}),
        EvaluationRules(resamples=10, attributes=("site",), smallest_cell=smallest),
    )
    if finding.absent:
        assert len(outcome) < smallest
        return
    shown = [group for group in finding.groupings[0].groups if not group.suppressed]
    for group in shown:
        assert group.readmissions >= smallest
        assert group.stays - group.readmissions >= smallest
    hidden = sum(group.suppressed for group in finding.groupings[0].groups)
    if shown and hidden:
        assert hidden > 1
        with_readmission = outcome.sum() - sum(group.readmissions for group in shown)
        stays = len(outcome) - sum(group.stays for group in shown)
        assert with_readmission >= smallest
        assert stays - with_readmission >= smallest


def test_the_order_of_stays_does_not_matter():
    risk, outcome, subjects, groups = simulated(400)
    order = np.random.default_rng(3).permutation(400)
    turned = Risk(risk.ranking[order], risk.probability[order])
    first = found(risk, outcome, subjects, groups)
    second = found(turned, outcome[order], subjects[order], groups.iloc[order])
    for one, other in zip(first.groupings, second.groupings, strict=True):
        for group, same in zip(one.groups, other.groups, strict=True):
            for name, gap in group.gaps.items():
                assert msgspec.structs.astuple(same.gaps[name]) == pytest.approx(
                    msgspec.structs.astuple(gap), abs=1e-8
                )


def test_the_finding_is_json():
    finding = found(*simulated(300))
    assert json.loads(msgspec.json.encode(finding))["smallest_cell"] == SMALLEST
