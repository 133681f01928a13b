"""Whether the risk that is left is calibrated on days 0, 3, 7, 14 and 21 after discharge.

On the simulated hospital, among test patients who on that day are alive and not back. Peers: the
same without ageing (the risk at discharge, kept until day 30), which is what a list that knows no
days would show, and the truth (the risk and the waiting time that the simulation drew from).
Nothing here says anything about real patients.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.at_home import JudgedStays, simulated_test_stays
from benchmarks.measuring import Result, figure
from training.evaluation import metrics
from training.evaluation.resampling import estimates
from training.risk_model import Interval
from training.simulated_hospital.parameters import load_hospital
from training.study import Gates
from training.study_data import FloatArray

PATIENTS = 12_000
DAYS = (0, 3, 7, 14, 21)
RESAMPLES = 1_000
SLOPES = Gates().slope
EARLIEST, LATEST = 1.1, 29.3
"""Days between which the simulation draws returns (``simulated_hospital.course``)."""


def run(folder: Path) -> list[Result]:
    """Train once, and judge the test patients who are at home on each day."""
    test = simulated_test_stays(folder, PATIENTS)
    return [result for day in DAYS for result in calibration(test, day, RESAMPLES)]


def calibration(test: JudgedStays, day: int, resamples: int) -> Iterator[Result]:
    """Calibration in the large and slope on one day, and how far from the truth."""
    home = test.at_home(day)
    outcome = test.stays.outcome[home]
    left = test.curve.remaining(test.risk[home], day).value
    kept = test.risk[home]

    def measure(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "intercept": metrics.calibration_intercept(left, outcome, weights),
            "slope": metrics.calibration_slope(left, outcome, weights),
            "intercept without ageing": metrics.calibration_intercept(kept, outcome, weights),
        }

    found = {
        name: each.interval()
        for name, each in estimates(
            measure, test.stays.subjects[home], resamples=resamples, seed=day
        ).items()
    }
    of = f"{int(outcome.sum()):,} of {len(outcome):,} come back later"
    yield _holds_zero(f"day {day}: calibration intercept (simulated)", found["intercept"], of)
    yield _within(f"day {day}: calibration slope", found["slope"], of)
    yield figure(
        f"day {day}: calibration intercept without ageing",
        found["intercept without ageing"].value or 0.0,
        "log-odds",
        _interval(found["intercept without ageing"]),
    )
    truth = true_remaining(test.true_risk[home], day, test.curve.left[day])
    yield figure(
        f"day {day}: mean of what is left, ours / the truth's",
        float(left.mean() / truth.mean()),
        "x",
        f"{left.mean():.4f} and {truth.mean():.4f}; came {outcome.mean():.4f}",
    )


def true_remaining(risk: FloatArray, day: float, left: float) -> FloatArray:
    """By the simulation's own waiting time, an exponential cut at both ends.

    Args:
        risk: the observable risk at discharge.
        day: since discharge.
        left: the share of the others who have died or come back as planned.
    """
    mean = load_hospital().course.return_mean_days
    waited = np.clip(day, EARLIEST, LATEST) - EARLIEST
    come = np.expm1(-waited / mean) / np.expm1(-(LATEST - EARLIEST) / mean)
    still = risk * (1 - come)
    return np.asarray(still / (still + (1 - risk) * (1 - left)))


def _holds_zero(name: str, found: Interval, detail: str) -> Result:
    held = found.low is not None and found.high is not None and found.low <= 0 <= found.high
    return _result(name, found, "interval holds 0", held, detail)


def _within(name: str, found: Interval, detail: str) -> Result:
    """The slope is the model's own from day 0 on; ageing must not move it out of the gates."""
    low, high = SLOPES
    held = found.value is not None and low <= found.value <= high
    return _result(name, found, f"{low:g} to {high:g}", held, detail)


def _result(name: str, found: Interval, target: str, held: bool, detail: str) -> Result:
    value = float("nan") if found.value is None else found.value
    return Result(name, value, "", target, held, f"{_interval(found)}; {detail}")


def _interval(found: Interval) -> str:
    if found.low is None or found.high is None:
        return "no interval"
    return f"95 % {found.low:.3f} to {found.high:.3f}"
