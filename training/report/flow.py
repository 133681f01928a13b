"""The flow of stays from the records to those that count, with every exclusion."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.cohort.selection import FlowStep


@dataclass(frozen=True)
class FlowBox:
    """Stays that were left out, why, and how many remained."""

    reasons: tuple[str, ...]
    excluded: int
    left: int


@dataclass(frozen=True)
class Flow:
    """The flow table as a diagram shows it."""

    start: FlowStep
    boxes: tuple[FlowBox, ...]
    nobody: tuple[str, ...]
    """Reasons that were looked for and concerned no stay."""
    end: FlowStep


def flow_diagram(steps: Sequence[FlowStep], smallest: int) -> Flow:
    """A flow table as boxes; reasons that concern fewer than ``smallest`` stays stand together.

    A reason with three stays might name somebody; so might the difference of the two numbers
    around it. Such a reason is joined with the next ones until there are enough stays, the last
    with the box before it.
    """
    boxes: list[FlowBox] = []
    reasons: list[str] = []
    excluded = 0
    for step in steps:
        if step.excluded == 0:
            continue
        reasons.append(step.step.rstrip("."))
        excluded += step.excluded
        if excluded >= smallest:
            boxes.append(FlowBox(tuple(reasons), excluded, step.left))
            reasons, excluded = [], 0
    if excluded:
        before = boxes.pop() if boxes else FlowBox((), 0, 0)
        joined = (*before.reasons, *reasons)
        boxes.append(FlowBox(joined, before.excluded + excluded, steps[-1].left))
    nobody = tuple(step.step.rstrip(".") for step in steps[1:-1] if step.excluded == 0)
    return Flow(steps[0], tuple(boxes), nobody, steps[-1])
