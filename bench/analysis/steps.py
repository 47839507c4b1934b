"""Where a series of values steps: change points by permutation, with no assumption on how the noise is distributed.

A split is measured by how far the means on its sides lie apart in units of what they would vary by chance (the CUSUM
statistic). The best split counts where at most `level` of random orders of the same values have one as good. Each side
is then searched in the same way. Orders are exchangeable only if runs do not resemble their neighbours: a machine that
has slow days gives steps that are the machine's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIDE = 2  # values on each side of a step at least: one alone may be an accident
FIRST, MOST = 200, 20_000  # random orders, before a series is given up, and at most
Logs = npt.NDArray[np.float64]


class Step(NamedTuple):
    """Before value number `at` (from 0) the geometric mean was `before`, from it on `after`; `p` as in the search."""

    at: int
    before: float
    after: float
    p: float

    @property
    def factor(self) -> float:
        """After over before: above 1 is slower."""
        return self.after / self.before


def steps(values: npt.ArrayLike, level: float, margin: float) -> list[Step]:
    """The steps of a series of positive values in their order, each of at least `margin` (a fraction).

    `level` is the chance of any step in a series that has none.
    """
    logs = np.log(np.asarray(values, dtype=float))
    splits = sorted(_search(logs, 0, level, math.log1p(margin), np.random.default_rng(0)))
    edges = [0, *(at for at, _ in splits), len(logs)]
    means = [float(np.exp(logs[start:end].mean())) for start, end in itertools.pairwise(edges)]
    return [Step(at, means[number], means[number + 1], p) for number, (at, p) in enumerate(splits)]


def fewest(level: float) -> int:
    """How many values a series needs at least: with fewer, no step can be found at this level, even without noise."""
    count = 2 * SIDE
    while 2 / math.comb(count, count // 2) > level:
        count += 1
    return count


def _search(
    logs: Logs, start: int, level: float, margin: float, generator: np.random.Generator
) -> Iterator[tuple[int, float]]:
    """The place of each step and its p; a part of a series is searched at the level of the whole."""
    if len(logs) < fewest(level):
        return
    scores = _scores(logs[None, :])[0]
    at = int(scores.argmax()) + SIDE
    apart = abs(logs[at:].mean() - logs[:at].mean())
    if apart < margin:
        return
    p = _p(logs, float(scores.max()), level, generator)
    if p > level:
        return
    yield start + at, p
    yield from _search(logs[:at], start, level, margin, generator)
    yield from _search(logs[at:], start + at, level, margin, generator)


def _scores(orders: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each order (a row) and each split of it that leaves SIDE values on both sides, its statistic."""
    count = orders.shape[1]
    left = np.arange(SIDE, count - SIDE + 1)
    centred = orders - orders.mean(axis=1, keepdims=True)
    sums = np.abs(np.cumsum(centred, axis=1)[:, SIDE - 1 : count - SIDE])
    scores: npt.NDArray[np.float64] = sums / np.sqrt(left * (count - left) / count)
    return scores


def _p(logs: Logs, score: float, level: float, generator: np.random.Generator) -> float:
    """The share of random orders, the given one included, that have a split at least as good."""
    wanted, as_good, tried = min(MOST, max(FIRST, math.ceil(20 / level))), 1, 1
    while tried < wanted:
        orders = generator.permuted(np.tile(logs, (FIRST, 1)), axis=1)
        as_good += int((_scores(orders).max(axis=1) >= score * (1 - 1e-12)).sum())
        tried += FIRST
        if as_good / tried > 5 * level and as_good > 10:
            break  # it will not come down to the level any more
    return as_good / tried
