"""What a ward finds that can follow up the stays with the highest risks, and no more.

Points tie: a tenth of the stays may end in the middle of all those with a LACE of 10. Which of
them are followed up is then chance, and what is counted is the expectation over every order of the
tied stays, not what the order of the rows happens to give.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from training.evaluation.measures import Risk
from training.evaluation.metrics import found_at_the_top
from training.evaluation.resampling import estimates
from training.findings import Capacity
from training.risk_model import Interval
from training.study import EvaluationRules
from training.study_data import BoolArray, FloatArray


def capacities(
    model: Risk,
    peers: Mapping[str, Risk],
    outcome: BoolArray,
    subjects: npt.NDArray[Any],
    *,
    weeks: float | None,
    rules: EvaluationRules,
    seed: int,
) -> tuple[Capacity, ...]:
    """What the model finds at each capacity, beside what its peers find with as many stays.

    Arguments as for ``evaluate``.
    """
    count = len(outcome)
    stays = [max(1, round(share * count)) for share in rules.capacities]
    tops = [each / count for each in stays]
    risks = {"": model, **peers}

    def measure(weights: FloatArray) -> dict[tuple[str, str, int], FloatArray]:
        total, readmitted = weights.sum(axis=1), weights @ outcome
        drawn = {}
        for name, risk in risks.items():
            found = found_at_the_top(risk.ranking, outcome, weights, tops)
            for position, top in enumerate(tops):
                drawn["ppv", name, position] = found[position] / (top * total)
                if not name:
                    part = np.full(len(total), np.nan)
                    np.divide(found[position], readmitted, out=part, where=readmitted > 0)
                    drawn["sensitivity", name, position] = part
        return drawn

    measured = estimates(measure, subjects, resamples=rules.resamples, seed=seed)
    falling = np.sort(model.probability)[::-1]
    found = []
    for position, (share, followed) in enumerate(zip(rules.capacities, stays, strict=True)):
        ppv = measured["ppv", "", position].interval()
        found.append(
            Capacity(
                share=share,
                stays=followed,
                threshold=float(falling[followed - 1]),
                ppv=ppv,
                sensitivity=measured["sensitivity", "", position].interval(),
                number_needed_to_evaluate=_needed(ppv),
                alerts_per_week=followed / weeks if weeks else None,
                peers_ppv={name: measured["ppv", name, position].interval() for name in peers},
            )
        )
    return tuple(found)


def _needed(ppv: Interval) -> Interval:
    """One over the PPV, whose ends change places; None for a PPV of 0, where none are found."""

    def inverse(value: float | None) -> float | None:
        return 1 / value if value else None

    return Interval(inverse(ppv.value), inverse(ppv.high), inverse(ppv.low))
