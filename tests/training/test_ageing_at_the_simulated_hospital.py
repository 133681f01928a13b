"""Small versions of the benchmarks ``remaining`` and ``capacity``, with the risks of the truth."""

import numpy as np
import pytest
from lived_stays import MICROSECONDS, lived_stays, study_of

from benchmarks.at_home import JudgedStays
from benchmarks.capacity import compared
from benchmarks.remaining import DAYS, true_remaining
from training.return_times import return_curve


@pytest.fixture(scope="module")
def judged():
    """Patients of the simulated hospital, and the curve of others."""
    curve = return_curve(study_of(lived_stays(1_200, 21)), resamples=50, seed=1)
    lived = lived_stays(1_500, 22)
    return JudgedStays(
        stays=study_of(lived),
        risk=lived.risks,
        true_risk=lived.risks,
        discharged=lived.stays.discharged / MICROSECONDS,
        back=lived.stays.days_to_readmission,
        left=lived.stays.days_to_leaving,
        curve=curve,
    )


@pytest.mark.parametrize("day", DAYS)
def test_as_many_come_back_after_a_day_as_what_is_left_of_their_risks(judged, day):
    home = judged.at_home(day)
    left = judged.curve.remaining(judged.risk[home], day).value
    came = judged.stays.outcome[home].sum()
    # Chance in these patients, and the curve's own from some 350 readmissions of others.
    assert came == pytest.approx(left.sum(), abs=3 * np.sqrt(2 * (left * (1 - left)).sum()))
    truth = true_remaining(judged.true_risk[home], day, judged.curve.left[day])
    assert left.mean() == pytest.approx(truth.mean(), rel=0.35)


def test_a_risk_that_does_not_age_is_far_off_after_two_weeks(judged):
    home = judged.at_home(14)
    assert judged.risk[home].sum() > 2 * judged.stays.outcome[home].sum()


def test_calls_by_what_is_left_reach_more_readmissions_than_by_lace_or_by_chance(judged):
    found = {each.name: each for each in compared(judged, calls=5, resamples=100)}
    for kind in ("expected", "realised"):
        for peer in ("LACE >= 10", "chance"):
            assert found[f"{kind}, what is left minus {peer} (simulated)"].met
