"""How the benchmarks measure: in turns, with medians, and with the target beside the figure."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One figure of one benchmark."""

    name: str
    value: float
    unit: str
    target: str
    """What the figure is held against, in words."""
    met: bool | None
    """None where there is no target."""
    detail: str = ""


def in_turns(runs: int, **work: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each piece of work, run one after another so that noise hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, each in work.items():
            began = time.perf_counter()
            each()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def at_most(name: str, value: float, limit: float, unit: str = "x", detail: str = "") -> Result:
    """A figure that should not exceed a limit."""
    return Result(name, value, unit, f"at most {limit:g} {unit}", value <= limit, detail)


def at_least(name: str, value: float, limit: float, unit: str = "x", detail: str = "") -> Result:
    """A figure that should reach a limit."""
    return Result(name, value, unit, f"at least {limit:g} {unit}", value >= limit, detail)


def figure(name: str, value: float, unit: str, detail: str = "") -> Result:
    """A figure without a target."""
    return Result(name, value, unit, "", None, detail)
