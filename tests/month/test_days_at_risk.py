"""Days before a call and after it: counted by hand, and fair where calls do nothing."""

import numpy as np
import pytest
from trusting_service import even_curve

from service.month.at_risk import Exposure, exposures, hazard, observed_to_expected

NEVER = np.inf
CURVE = even_curve()


def one(
    called: float, ended: float, readmitted: bool, risk: float = 0.3
) -> tuple[Exposure, Exposure]:
    found = exposures(
        np.array([risk]), np.array([called]), np.array([ended]), np.array([readmitted]), CURVE
    )
    return found[0]


def test_a_return_before_the_call_is_no_return_of_the_called() -> None:
    called, not_called = one(called=3, ended=2, readmitted=True)
    assert (called.patients, called.days, called.readmissions) == (0, 0, 0)
    assert (not_called.patients, not_called.days, not_called.readmissions) == (1, 2, 1)


def test_the_days_of_a_called_patient_are_on_both_sides_and_the_return_on_one() -> None:
    called, not_called = one(called=3, ended=10, readmitted=True)
    assert (called.patients, called.days, called.readmissions) == (1, 7, 1)
    assert (not_called.patients, not_called.days, not_called.readmissions) == (1, 3, 0)


def test_whoever_was_called_in_hospital_is_called_from_the_discharge_on() -> None:
    called, not_called = one(called=-2, ended=30, readmitted=False)
    assert (called.patients, called.days) == (1, 30)
    assert not_called == Exposure()


def test_what_is_expected_is_the_hazard_and_splits_without_rest() -> None:
    """Returns spread evenly: of risk 0.3, 0.7 + 0.3 * (1 - d / 30) are at home on day d."""
    called, not_called = one(called=12, ended=30, readmitted=False)
    at_home = 1 - 0.3 * 12 / 30
    assert not_called.expected == pytest.approx(-np.log(at_home))
    assert called.expected == pytest.approx(np.log(at_home) - np.log(0.7))


def test_a_ratio_has_the_exact_interval_of_a_poisson_count() -> None:
    """Ten observed: 4.795 to 18.390 (Ulm 1990)."""
    ratio = observed_to_expected(Exposure(patients=50, days=900, readmissions=10, expected=5.0))
    assert ratio is not None
    assert ratio.value == 2.0
    assert (ratio.low, ratio.high) == pytest.approx((4.795 / 5, 18.390 / 5), abs=2e-4)
    none = observed_to_expected(Exposure(patients=50, days=900, expected=5.0))
    assert none is not None
    assert (none.value, none.low) == (0.0, 0.0)
    assert observed_to_expected(Exposure()) is None


def test_calls_that_do_nothing_come_to_one_on_both_sides_and_naive_counting_does_not() -> None:
    """Forty thousand made-up patients of a calibrated model; the riskiest are called first."""
    random = np.random.default_rng(5)
    risk = random.uniform(0.05, 0.6, 40_000)
    back = random.random(len(risk)) < risk
    returned = np.where(back, random.uniform(0, 30, len(risk)), 30.0)
    wanted = np.where(random.random(len(risk)) < risk, random.uniform(0, 20, len(risk)), NEVER)
    found = exposures(risk, wanted, returned, back, CURVE)
    called = sum((pair[0] for pair in found), Exposure())
    not_called = sum((pair[1] for pair in found), Exposure())
    for side in (called, not_called):
        assert side.readmissions / side.expected == pytest.approx(1, abs=0.04)
    was_called = wanted < returned
    naive = back[was_called].sum() / risk[was_called].sum()
    assert naive < 0.8, "who counts patients from the discharge on credits the calls with it"


def test_the_hazard_adds_up_over_any_cut() -> None:
    risk = np.array([0.4, 0.1])
    whole = hazard(CURVE, risk, np.zeros(2), np.full(2, 21.5))
    parts = hazard(CURVE, risk, np.zeros(2), np.full(2, 8.3)) + hazard(
        CURVE, risk, np.full(2, 8.3), np.full(2, 21.5)
    )
    assert whole == pytest.approx(parts, rel=1e-9)
