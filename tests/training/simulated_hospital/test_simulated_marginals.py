"""The simulated hospital resembles published figures, within wide bounds (see hospital.toml)."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from training.simulated_hospital import SimulationSummary, simulate
from training.simulated_hospital.parameters import Driver
from training.simulated_hospital.risk import auroc, contribution, observable_risk


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marginals")


@pytest.fixture(scope="module")
def summary(folder: Path) -> SimulationSummary:
    return simulate(folder, 1_500, seed=3)


def test_about_one_in_seven_index_stays_is_followed_by_an_unplanned_return(
    summary: SimulationSummary,
) -> None:
    assert 0.11 < summary.readmission_rate < 0.20
    assert 1.5 < summary.index_stays / 1_500 < 2.5


def test_the_returns_are_as_many_as_the_observable_risk_says(summary: SimulationSummary) -> None:
    expected = summary.mean_observable_risk
    standard_error = math.sqrt(expected * (1 - expected) / summary.index_stays)
    assert abs(summary.readmission_rate - expected) < 4 * standard_error


def test_the_best_possible_model_is_as_good_as_good_published_ones(
    summary: SimulationSummary, folder: Path
) -> None:
    with (folder / "truth" / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["index_eligible"] == "1"]
    expected = _expected_auroc(np.sort([float(row["observable_risk"]) for row in rows]))
    assert 0.72 < expected < 0.79
    # Over independent seeds the realised AUROC of this many patients spreads by 0.018 (people who
    # come often weigh much), so a bound of four times that is the narrowest that chance respects.
    assert abs(summary.best_possible_auroc - expected) < 0.072
    assert summary.true_risk_auroc > summary.best_possible_auroc


def _expected_auroc(risk: np.ndarray) -> float:
    """The AUROC to expect of calibrated risks, sorted: sum of p_i (1 - p_j) over i ranked above j.

    Equal risks do not occur often enough to matter.
    """
    without = np.concatenate([[0.0], np.cumsum(1.0 - risk)[:-1]])
    within = (risk * (1.0 - risk)).sum()
    return float((risk * without).sum() / (risk.sum() * (1.0 - risk).sum() - within))


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
