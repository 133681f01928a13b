"""Chance, one reproducible stream a person.

Each person has streams of their own, seeded by (seed, person, purpose). So a person lives the same
life in a simulation of ten and of ten thousand, and more untidy records change nobody's illness.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

COURSE = 0
"""Purpose of a stream: who a person is and how the illness goes."""
RECORDS = 1
"""Purpose of a stream: how it is written down."""
AFFILIATION = 2
"""Purpose of a stream: at which sites, and who pays."""

_BLOCK = 512


class Chance:
    """Draws from one stream. Numbers are drawn in blocks: one at a time costs ten times as much."""

    __slots__ = ("_generator", "_normals", "_uniforms")

    def __init__(self, seed: int, person: int, purpose: int) -> None:
        self._generator = np.random.default_rng((seed, person, purpose))
        self._uniforms: list[float] = []
        self._normals: list[float] = []

    def uniform(self) -> float:
        """Draw from [0, 1)."""
        if not self._uniforms:
            self._uniforms = self._generator.random(_BLOCK).tolist()
        return self._uniforms.pop()

    def normal(self) -> float:
        """Draw from the standard normal distribution."""
        if not self._normals:
            self._normals = self._generator.standard_normal(_BLOCK // 4).tolist()
        return self._normals.pop()

    def below(self, share: float) -> bool:
        """Say yes with this probability."""
        return self.uniform() < share

    def between(self, low: float, high: float) -> float:
        """Draw evenly from [low, high)."""
        return low + (high - low) * self.uniform()

    def exponential(self, mean: float) -> float:
        """Draw a waiting time."""
        return -mean * math.log1p(-self.uniform())

    def early(self, mean: float, low: float, high: float) -> float:
        """Draw a waiting time that is known to lie in [low, high)."""
        share = -math.expm1(-(high - low) / mean)
        return low - mean * math.log1p(-self.uniform() * share)

    def poisson(self, mean: float) -> int:
        """Draw a count (Knuth's method, for means of a few)."""
        limit = math.exp(-mean)
        product = self.uniform()
        count = 0
        while product > limit:
            product *= self.uniform()
            count += 1
        return count

    def gamma(self, shape: float) -> float:
        """Draw from a gamma distribution of mean one."""
        return float(self._generator.gamma(shape)) / shape

    def pick(self, items: Sequence[Item]) -> Item:
        """Draw one of these, each as likely as the next."""
        return items[int(self.uniform() * len(items))]

    def weighted(self, items: Sequence[Item], weights: Sequence[float]) -> Item:
        """Draw one of these in proportion to its weight."""
        sums = list(accumulate(weights))
        return items[min(bisect_right(sums, self.uniform() * sums[-1]), len(items) - 1)]
