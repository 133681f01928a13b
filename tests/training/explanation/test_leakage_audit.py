"""Planted leaks are named, and an honest simulated study has none."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.explanation.discharge_records import FeatureRecords
from training.explanation.leakage import MODEL, audit_leakage
from training.risk_model import Interval
from training.study import Gates

HONEST = Interval(0.70, 0.66, 0.74)
GATES = Gates()


def with_column(data, column: int, values):
    changed = data.values.copy()
    changed[:, column] = values
    return replace(data, values=changed)


def named(audit) -> list[tuple[str, str]]:
    return [(finding.feature, finding.sign) for finding in audit.findings]


def test_nothing_is_found_in_an_honest_study(study):
    audit = audit_leakage(study, HONEST, GATES)
    assert audit.findings == ()
    assert audit.cautions == ()
    assert audit.features == len(study.features)
    assert audit.limit == GATES.single_feature_auroc


@pytest.mark.parametrize("direction", [1, -1])
def test_a_feature_that_is_the_outcome_with_noise_is_named(study, direction):
    random = np.random.default_rng(1)
    leak = direction * study.outcome + random.normal(0, 0.6, len(study))
    audit = audit_leakage(with_column(study, 7, leak), HONEST, GATES)
    assert named(audit) == [("f7", "implausible_alone")]
    assert audit.strongest_alone[0][0] == "f7"
    (finding,) = audit.findings
    assert finding.auroc.low > GATES.single_feature_auroc
    assert finding.auroc.low <= finding.auroc.value <= finding.auroc.high
    assert "f7" in finding.sentence


def test_a_value_that_is_there_only_after_a_return_is_named(study):
    """A follow-up test, ordered on readmission: its values say nothing, its presence all."""
    random = np.random.default_rng(2)
    there = study.outcome | (random.random(len(study)) < 0.1)
    values = np.where(there, random.normal(size=len(study)), np.nan)
    audit = audit_leakage(with_column(study, 5, values), HONEST, GATES)
    assert named(audit) == [("f5", "implausible_alone")]
    assert audit.findings[0].sentence.startswith("f5, by whether it has a value, alone tells")


def test_the_interval_decides_and_not_a_lucky_value(make_study):
    """With few readmissions a value above the limit is no evidence yet."""
    few = make_study(60, seed=3)
    random = np.random.default_rng(3)
    column = few.outcome + random.normal(0, 0.9, len(few))
    few = with_column(few, 7, column)
    audit = audit_leakage(few, HONEST, GATES)
    alone = dict(audit.strongest_alone)["f7"]
    assert alone > GATES.single_feature_auroc
    assert named(audit) == []


def test_alone_is_the_auroc_of_the_better_direction(study):
    complete = replace(study, values=np.nan_to_num(study.values))
    found = dict(audit_leakage(complete, HONEST, GATES).strongest_alone)
    for column, feature in enumerate(complete.features):
        expected = roc_auc_score(complete.outcome, complete.values[:, column])
        assert found[feature.name] == pytest.approx(max(expected, 1 - expected), abs=1e-6)


def test_missing_values_are_a_group_of_their_own(study):
    """Half the stays without a value, all of them readmitted less often than the others."""
    audit = audit_leakage(
        with_column(study, 6, np.where(study.outcome, 1.0, np.nan)), HONEST, GATES
    )
    assert audit.strongest_alone[0] == ("f6", 1.0)


def test_a_column_without_any_value_says_nothing(study):
    audit = audit_leakage(with_column(study, 6, np.nan), HONEST, GATES)
    assert dict(audit.strongest_alone)["f6"] == 0.5


def test_the_same_study_gives_the_same_audit(study):
    leaky = with_column(study, 7, study.outcome)
    assert audit_leakage(leaky, HONEST, GATES) == audit_leakage(leaky, HONEST, GATES)


def test_a_model_better_than_readmission_models_are_is_taken_for_a_leak(study):
    audit = audit_leakage(study, Interval(0.91, 0.88, 0.94), GATES)
    assert named(audit) == [(MODEL, "model_implausible")]
    assert "0.910 (0.880 to 0.940)" in audit.findings[0].sentence
    assert audit_leakage(study, Interval(None, None, None), GATES).findings == ()


def test_what_knew_something_later_is_a_finding_and_what_rests_on_a_guess_a_caution(study):
    audit = audit_leakage(
        study,
        HONEST,
        GATES,
        records=[
            FeatureRecords("f1", 500, 0.002, 0.0),
            FeatureRecords("f2", 0, 0.0, 0.0),
            FeatureRecords("f3", 500, 0.0, 0.4),
            FeatureRecords("f4", 500, 0.0, 0.02),
        ],
    )
    assert named(audit) == [("f1", "after_discharge"), ("f2", "after_discharge")]
    assert "under 1\u202f%" in audit.findings[0].sentence
    assert [(each.feature, each.sign) for each in audit.cautions] == [("f3", "coded_at_discharge")]
    assert "40\u202f%" in audit.cautions[0].sentence
