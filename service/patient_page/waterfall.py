"""The way from what is known of nobody to this patient's risk, step by step.

The steps are in log-odds, because that is where contributions add up; the risk in per cent is
given at both ends, because that is what people read.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import exp
from typing import Final, Literal, NamedTuple

from service.score import Scored

WIDTH: Final = 1000.0
"""Units that a drawing is wide; it is stretched to whatever width there is."""

_MARGIN: Final = 0.04
"""Of the width, on both sides: a bar that ends at the edge looks cut off."""

Kind = Literal["baseline", "raises", "lowers", "risk"]


class Step(NamedTuple):
    """One bar."""

    kind: Kind
    words: str
    target: str | None
    """The id of the entry of the evidence that it leads to."""
    contribution: float
    """In log-odds; of the two ends, all of it."""
    begin: float
    """Log-odds before the step."""
    end: float
    """Log-odds after the step."""
    x: float
    """Left edge of the bar, in units of the drawing."""
    width: float
    begin_x: float
    """Where it begins: the right edge, where it lowers the risk."""
    end_x: float
    """Where it ends and the next step begins."""

    @property
    def begin_probability(self) -> float:
        """The risk before the step, as a fraction."""
        return probability(self.begin)

    @property
    def end_probability(self) -> float:
        """The risk after the step, as a fraction."""
        return probability(self.end)


def waterfall(score: Scored) -> tuple[Step, ...]:
    """The bars: baseline, each reason, all others together, and the risk.

    Each begins where the one before it ends. ``others`` ends at the risk itself: the trees count in
    single precision, and what is lost to rounding (1e-5 at most) must not show as a gap.
    """
    parts = [reason.contribution for reason in score.reasons]
    levels = [*accumulate(parts, initial=score.baseline_log_odds), score.log_odds]
    scale = _Scale([score.baseline_log_odds, *levels])
    steps = [
        _end(scale, "baseline", "A stay of which nothing is known", levels[0]),
        *(
            _step(scale, reason.direction, reason.phrase, f"reason-{number}", begin, end)
            for number, (reason, begin, end) in enumerate(
                zip(score.reasons, levels, levels[1:], strict=False), start=1
            )
        ),
    ]
    rest = score.log_odds - levels[-2]
    if rest:
        kind: Kind = "raises" if rest > 0 else "lowers"
        steps.append(
            _step(scale, kind, "All other inputs together", "others", levels[-2], levels[-1])
        )
    steps.append(_end(scale, "risk", "This patient's risk", score.log_odds))
    return tuple(steps)


def probability(log_odds: float) -> float:
    """The logistic function, without overflow."""
    small = exp(-abs(log_odds))
    return 1 / (1 + small) if log_odds >= 0 else small / (1 + small)


class _Scale:
    """From log-odds to units of the drawing."""

    def __init__(self, levels: Sequence[float]) -> None:
        self._low = min(levels)
        # Without any contribution there is one level: it stands in the middle of nothing.
        self._span = (max(levels) - self._low) or 1.0

    def x(self, log_odds: float) -> float:
        share = (log_odds - self._low) / self._span
        return WIDTH * (_MARGIN + (1 - 2 * _MARGIN) * share)


def _step(scale: _Scale, kind: Kind, words: str, target: str, begin: float, end: float) -> Step:
    begin_x, end_x = scale.x(begin), scale.x(end)
    left, width = min(begin_x, end_x), abs(end_x - begin_x)
    return Step(kind, words, target, end - begin, begin, end, left, width, begin_x, end_x)


def _end(scale: _Scale, kind: Kind, words: str, level: float) -> Step:
    x = scale.x(level)
    return Step(kind, words, None, level, level, level, x, 0.0, x, x)
