"""Twenty calls a day: by the risk that is left, by LACE >= 10, or by chance.

On the simulated hospital, among test patients who are at home on the day of the calls. Each seventh
day is looked at: who would be called, how many of them the risks let expect to come back, and how
many did. Of patients with equal LACE, and of those with less than 10 where places are left, chance
decides: the expectation over every order of them is counted. Intervals resample patients; the
differences are taken on the same resamples. Nothing here says anything about real patients, nor
that a call prevents a readmission.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.at_home import JudgedStays, simulated_test_stays
from benchmarks.measuring import Result, figure
from training.evaluation.metrics import found_at_the_top
from training.evaluation.resampling import Estimate, estimates
from training.study_data import BoolArray, FloatArray

PATIENTS = 12_000
CALLS = 20
EVERY = 7
"""Days between two mornings: the next one has mostly other patients."""
HIGH_LACE = 10
RESAMPLES = 1_000


class Morning(NamedTuple):
    """Who is at home on one day, with what each order of calls goes by."""

    rows: np.ndarray
    """Places among the test stays."""
    orders: dict[str, FloatArray]
    left: FloatArray
    """The risk that is left."""
    back_later: BoolArray


def run(folder: Path) -> list[Result]:
    """Train once, and hand out the calls of each morning in each order."""
    test = simulated_test_stays(folder, PATIENTS)
    return compared(test, CALLS, RESAMPLES)


def compared(test: JudgedStays, calls: int, resamples: int) -> list[Result]:
    """Readmissions among those called, a morning, and the differences with their intervals."""
    found = among_called(test, mornings(test, calls), calls, resamples)
    results = []
    for kind in ("expected", "realised"):
        ours = found[kind, "what is left"]
        results.append(_shown(f"{kind} readmissions among {calls} calls, what is left", ours))
        for peer in ("LACE >= 10", "chance", "risk at discharge"):
            theirs = found[kind, peer]
            results.append(_shown(f"{kind}, {peer}", theirs))
            difference = (ours - theirs).interval()
            low, high = difference.low, difference.high
            results.append(
                Result(
                    f"{kind}, what is left minus {peer} (simulated)",
                    difference.value or 0.0,
                    "a morning",
                    "interval above 0" if peer != "risk at discharge" else "",
                    (low is not None and low > 0) if peer != "risk at discharge" else None,
                    "no interval" if low is None else f"95 % {low:.2f} to {high:.2f}",
                )
            )
    return results


def mornings(test: JudgedStays, calls: int) -> list[Morning]:
    """Every seventh day on which more patients are at home than can be called."""
    lace = test.stays.score("lace")
    found = []
    day = test.discharged.min() + test.curve.horizon_days
    while day < test.discharged.max():
        age = day - test.discharged
        rows = np.flatnonzero((age >= 0) & (age < test.curve.horizon_days) & test.at_home(age))
        if len(rows) > calls:
            left = test.curve.remaining(test.risk[rows], age[rows]).value
            orders = {
                "what is left": left,
                "LACE >= 10": np.where(lace[rows] >= HIGH_LACE, lace[rows], 0.0),
                "chance": np.zeros(len(rows)),
                "risk at discharge": test.risk[rows],
            }
            found.append(Morning(rows, orders, left, test.stays.outcome[rows]))
        day += EVERY
    return found


def among_called(
    test: JudgedStays, days: list[Morning], calls: int, resamples: int
) -> dict[tuple[str, str], Estimate]:
    """Readmissions a morning among those called, expected and realised, by order."""

    def measure(weights: FloatArray) -> dict[tuple[str, str], FloatArray]:
        sums: dict[tuple[str, str], FloatArray] = {}
        for morning in days:
            drawn = weights[:, morning.rows]
            for name, order in morning.orders.items():
                for kind, each in (("expected", morning.left), ("realised", morning.back_later)):
                    top = found_at_the_top(order, each, drawn, [calls / len(morning.rows)])[0]
                    sums[kind, name] = sums.get((kind, name), 0.0) + top / len(days)
        return sums

    return estimates(measure, test.stays.subjects, resamples=resamples, seed=1)


def _shown(name: str, found: Estimate) -> Result:
    interval = found.interval()
    detail = "" if interval.low is None else f"95 % {interval.low:.2f} to {interval.high:.2f}"
    return figure(name, found.value, "a morning", detail)
