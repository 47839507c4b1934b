"""What was tried as the interval of a ratio whose launches come from several nodes, and what was chosen.

On many draws at once, where `bench.analysis.nodes` has one. docs/results/calibration.md says what came out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.analysis import nodes as of_nodes

Array = npt.NDArray[np.float64]
Way = Callable[..., "Limits"]  # of a row of log ratios per draw, the node of each column, and a level
LEVEL = 0.95


class Drawn(NamedTuple):
    """Logs of two equal backends' launches, a row per draw; the node of each; the nodes' mean log ratio and time."""

    ours: Array
    theirs: Array
    nodes: npt.NDArray[np.int_]
    measured: Array
    speeds: Array


class Limits(NamedTuple):
    """Intervals on the log scale, one for each draw."""

    centre: Array
    half: Array


class _Parts(NamedTuple):
    """What an analysis of variance takes: nodes' means and counts, mean squares between and within nodes."""

    means: Array
    counts: Array
    between: Array
    within: Array


def _parts(logs: Array, nodes: Any) -> _Parts:
    member = np.equal.outer(nodes, np.unique(nodes)).astype(float)
    counts = member.sum(axis=0)
    means = logs @ member / counts
    count, free = len(counts), logs.shape[1] - len(counts)
    between = (counts * (means - logs.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    total = ((logs - logs.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    within = np.maximum(total - between, 0) / free if free else np.full(len(logs), np.nan)
    return _Parts(means, counts, between / max(count - 1, 1), within)


def pooled(logs: Array, _nodes: Any, level: float = LEVEL) -> Limits:
    """Student's t over all repetitions, as if nodes did not matter."""
    count = logs.shape[1]
    return Limits(logs.mean(axis=1), _t(level, count - 1) * logs.std(axis=1, ddof=1) / np.sqrt(count))


def by_node(logs: Array, nodes: Any, level: float = LEVEL) -> Limits:
    """Student's t over the nodes' means."""
    return pooled(_parts(logs, nodes).means, None, level)


def sometimes(logs: Array, nodes: Any, level: float = LEVEL, *, error: float) -> Limits:
    """`pooled` unless an F test at `error` finds that nodes differ, then `by_node`."""
    parts = _parts(logs, nodes)
    count, free = len(parts.counts), logs.shape[1] - len(parts.counts)
    if count == 1 or not free:
        return pooled(logs, nodes, level)
    apart = parts.between > stats.f.ppf(1 - error, count - 1, free) * parts.within
    ways = pooled(logs, nodes, level), by_node(logs, nodes, level)
    return Limits(*(np.where(apart, theirs, all_of) for all_of, theirs in zip(*ways, strict=True)))


def within_nodes(logs: Array, nodes: Any, level: float = LEVEL) -> Limits:
    """Nodes as fixed blocks: the mean of their means, and the noise of repetitions within nodes alone."""
    parts = _parts(logs, nodes)
    free = logs.shape[1] - len(parts.counts)
    if not free:
        return by_node(logs, nodes, level)
    variance = parts.within * (1 / parts.counts).sum() / len(parts.counts) ** 2
    return Limits(parts.means.mean(axis=1), _t(level, free) * np.sqrt(variance))


def chosen(logs: Array, nodes: Any, level: float = LEVEL) -> Limits:
    """What reports do with nodes of one kind, see `bench.analysis.nodes`."""
    parts = _parts(logs, nodes)
    count, free = len(parts.counts), logs.shape[1] - len(parts.counts)
    if count == 1:
        return pooled(logs, nodes, level)
    if not free or count >= of_nodes.ENOUGH:
        return by_node(logs, nodes, level)
    apart = parts.between > stats.f.ppf(1 - of_nodes.DIFFERENT, count - 1, free) * parts.within
    ways = within_nodes(logs, nodes, level), by_node(logs, nodes, level)
    return Limits(*(np.where(apart, theirs, alike) for alike, theirs in zip(*ways, strict=True)))


def satterthwaite(logs: Array, nodes: Any, level: float = LEVEL) -> Limits:
    """Random nodes: weights by both variances, and degrees of freedom after Satterthwaite; `pooled` below zero."""
    parts, total = _parts(logs, nodes), logs.shape[1]
    count, free = len(parts.counts), logs.shape[1] - len(parts.counts)
    if not free or count == 1:
        return pooled(logs, nodes, level)
    usual = (total - (parts.counts**2).sum() / total) / (count - 1)
    between = np.maximum((parts.between - parts.within) / usual, 0)
    weights = 1 / (between[:, None] + parts.within[:, None] / parts.counts)
    weights /= weights.sum(axis=1, keepdims=True)
    first = (weights**2).sum(axis=1) / usual * parts.between
    second = ((weights**2 / parts.counts).sum(axis=1) - (weights**2).sum(axis=1) / usual) * parts.within
    variance = np.maximum(first + second, 1e-300)
    freedom = np.clip(variance**2 / (first**2 / (count - 1) + second**2 / free), count - 1, total - 1)
    found = Limits((weights * parts.means).sum(axis=1), stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(variance))
    alike = between == 0
    return Limits(*(np.where(alike, same, one) for same, one in zip(pooled(logs, nodes, level), found, strict=True)))


def naive(drawn: Drawn, level: float = LEVEL) -> Limits:
    """Welch's t over all launches, not paired, as if all were independent."""
    count = drawn.ours.shape[1]
    shares = [side.var(axis=1, ddof=1) / count for side in (drawn.ours, drawn.theirs)]
    freedom = (shares[0] + shares[1]) ** 2 * (count - 1) / (shares[0] ** 2 + shares[1] ** 2)
    half = stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(shares[0] + shares[1])
    return Limits(drawn.ours.mean(axis=1) - drawn.theirs.mean(axis=1), half)


@lru_cache(maxsize=4096)
def _t(level: float, freedom: int) -> float:
    return float(stats.t.ppf(0.5 + level / 2, freedom))


def _paired(way: Way) -> Callable[[Drawn], Limits]:
    return lambda drawn: way(drawn.ours - drawn.theirs, drawn.nodes)


WAYS: dict[str, Callable[[Drawn], Limits]] = {
    "Welch's t over all launches": naive,
    "paired, all repetitions": _paired(pooled),
    "paired, within nodes": _paired(within_nodes),
    "paired, nodes' means": _paired(by_node),
    "paired, all unless F at 0.25": _paired(partial(sometimes, error=0.25)),
    "paired, all unless F at 0.5": _paired(partial(sometimes, error=0.5)),
    "paired, Satterthwaite": _paired(satterthwaite),
    "chosen": _paired(chosen),
}
