"""Findings as tables: each estimate is a row, and what is suppressed stays so."""

import math

import pytest
from simulated_run import Made

from training.findings import Evaluation, Fairness, Grouping, Subgroup
from training.report import read_run
from training.risk_model import Interval
from training.tables import differences_table, groups_table, measures_table, net_benefit_table


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Of a run that a random generator made up."""
    folder = tmp_path_factory.mktemp("simulated") / "artifacts"
    Made().write(folder)
    return read_run(folder).evaluation


def test_every_measure_of_model_and_peers_is_a_row(evaluation):
    table = measures_table(evaluation)
    assert len(table) == len(evaluation.model) + sum(map(len, evaluation.baselines.values()))
    row = table[(table["of"] == "model") & (table["measure"] == "auroc")].iloc[0]
    assert (row["value"], row["low"], row["high"]) == (
        evaluation.model["auroc"].value,
        evaluation.model["auroc"].low,
        evaluation.model["auroc"].high,
    )


def test_differences_name_the_peer_that_is_taken_away(evaluation):
    table = differences_table(evaluation)
    assert set(table["minus"]) == set(evaluation.differences)
    assert len(table) == sum(map(len, evaluation.differences.values()))


def test_the_decision_curve_has_a_row_a_threshold(evaluation):
    table = net_benefit_table(evaluation)
    assert table["threshold"].tolist() == [point.threshold for point in evaluation.net_benefit]
    assert table["everyone"].tolist() == [point.everyone for point in evaluation.net_benefit]


def test_a_suppressed_group_is_named_without_a_number():
    shown = Subgroup(
        name="White",
        stays=300,
        readmissions=40,
        suppressed=False,
        measures={"auroc": Interval(0.7, 0.6, 0.8)},
        gaps={},
    )
    hidden = Subgroup(
        name="Asian", stays=None, readmissions=None, suppressed=True, measures={}, gaps={}
    )
    grouping = Grouping(
        attribute="race",
        label="Race",
        recorded=305,
        groups=(shown, hidden),
        equal_opportunity_difference=None,
        demographic_parity_difference=None,
    )
    table = groups_table(Fairness(11, (grouping,), ())).set_index("group")
    assert table.loc["White", "value"] == 0.7
    assert table.loc["Asian", "suppressed"]
    assert math.isnan(table.loc["Asian", "stays"])
    assert math.isnan(table.loc["Asian", "value"])
