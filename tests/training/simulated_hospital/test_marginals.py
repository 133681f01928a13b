"""The simulated hospital resembles published figures, within wide bounds (see hospital.toml)."""

import math
from pathlib import Path

import numpy as np
import pytest

from training.simulated_hospital import SimulationSummary, simulate
from training.simulated_hospital.parameters import Driver
from training.simulated_hospital.risk import auroc, contribution, observable_risk


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> SimulationSummary:
    return simulate(tmp_path_factory.mktemp("marginals"), 1_500, seed=3)


def test_about_one_in_seven_index_stays_is_followed_by_an_unplanned_return(
    summary: SimulationSummary,
) -> None:
    assert 0.11 < summary.readmission_rate < 0.20
    assert 1.5 < summary.index_stays / 1_500 < 2.5


def test_the_returns_are_as_many_as_the_observable_risk_says(summary: SimulationSummary) -> None:
    expected = summary.mean_observable_risk
    standard_error = math.sqrt(expected * (1 - expected) / summary.index_stays)
    assert abs(summary.readmission_rate - expected) < 4 * standard_error


def test_the_best_possible_model_is_no_better_than_the_best_published(
    summary: SimulationSummary,
) -> None:
    assert 0.71 < summary.best_possible_auroc < 0.79
    assert summary.true_risk_auroc > summary.best_possible_auroc


def test_stays_last_about_four_days_with_a_long_tail(summary: SimulationSummary) -> None:
    assert 3.0 < summary.median_length_of_stay < 5.0
    assert summary.mean_length_of_stay > summary.median_length_of_stay + 0.7


def test_a_third_to_a_half_of_index_stays_are_high_by_lace(summary: SimulationSummary) -> None:
    assert 0.28 < summary.high_lace_share < 0.52


def test_few_die_in_hospital(summary: SimulationSummary) -> None:
    assert 0.012 < summary.hospital_mortality < 0.04


def test_observable_risk_is_the_mean_over_frailty() -> None:
    log_odds = np.array([-3.0, -1.0, 0.5])
    frailty = 0.7 * np.random.default_rng(0).standard_normal(400_000)
    simulated = [(1 / (1 + np.exp(-(value + frailty)))).mean() for value in log_odds]
    assert observable_risk(log_odds, 0.7) == pytest.approx(simulated, abs=0.001)
    assert observable_risk(log_odds, 0.0) == pytest.approx(1 / (1 + np.exp(-log_odds)))


def test_auroc_counts_ties_half_and_knows_when_it_has_no_answer() -> None:
    risk = np.array([0.1, 0.2, 0.2, 0.9])
    assert auroc(risk, np.array([False, True, False, True])) == pytest.approx(0.875)
    assert math.isnan(auroc(risk, np.array([False] * 4)))


@pytest.mark.parametrize(
    ("shape", "value", "expected"),
    [
        ("linear", 9.0, 0.5 * (4.0 - 1.0)),
        ("log1p", 3.0, 0.5 * (math.log(4.0) - 1.0)),
        ("below", 8.0, 0.5 * (2.0 - 1.0)),
        ("below", 15.0, 0.5 * (0.0 - 1.0)),
        ("below", None, 0.0),
    ],
)
def test_a_driver_adds_its_shaped_value_and_a_missing_one_nothing(
    shape: str, value: float | None, expected: float
) -> None:
    driver = Driver(
        name="x",
        beta=0.5,
        shape=shape,  # type: ignore[arg-type]  # parametrised over the allowed shapes
        cap=4.0,
        centre=1.0,
        threshold=10.0,
        measure="latest",
        of="x",
        window="stay",
    )
    assert contribution(driver, value) == pytest.approx(expected)
