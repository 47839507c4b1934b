"""Ways to say which of two sides is slower: ours, and those of other suites."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.analysis import statistics
from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.statistics import Interval

LEVEL = 0.95
Array = npt.NDArray[np.float64]


class Rule(NamedTuple):
    """A way to say whether one side is slower: what it keeps of a launch's steady epochs, and its verdict on two sides.

    A side is an array whose first axis counts launches. The score is what the verdict looks at: 0 is equal, more is
    slower.
    """

    title: str
    keep: Callable[[Array], Any]
    verdict: Callable[[Array, Array], str]
    score: Callable[[Array, Array], float]


def our_interval(ours: Array, theirs: Array) -> Interval:
    """As a report makes it."""
    return statistics.paired_interval(ours / theirs, LEVEL)


def _paired_t(ours: Array, theirs: Array) -> float:
    logs = np.log(ours / theirs)
    if len(logs) < 2:
        return 0.0
    return float(logs.mean() / (logs.std(ddof=1) / np.sqrt(len(logs))))


def _pooled_t(ours: Array, theirs: Array) -> float:
    """Student's t of two sides of equal size."""
    variance = (ours.var(ddof=1) + theirs.var(ddof=1)) / 2
    return float((ours.mean() - theirs.mean()) / np.sqrt(variance * 2 / ours.size))


def _pooled_t_test(ours: Array, theirs: Array) -> str:
    score = _pooled_t(ours, theirs)
    if not abs(score) > _t_limit(2 * ours.size - 2):
        return "undecided"
    return "slower" if score > 0 else "faster"


@lru_cache
def _t_limit(freedom: int) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def _ratio(ours: Array, theirs: Array, keep: Callable[[Array], Any]) -> float:
    return float(np.log(keep(ours) / keep(theirs)))


def _within_margin(ours: Array, theirs: Array, keep: Callable[[Array], Any]) -> str:
    ratio, margin = _ratio(ours, theirs, keep), np.log1p(TIME_MARGIN)
    return "slower" if ratio > margin else "faster" if ratio < -margin else "equivalent"


OURS = Rule(
    "ours",
    statistics.launch_value,
    lambda ours, theirs: statistics.time_verdict(our_interval(ours, theirs), TIME_MARGIN),
    _paired_t,
)
RULES = (
    OURS,
    Rule(
        "ours, margin 0",
        statistics.launch_value,
        lambda ours, theirs: statistics.time_verdict(our_interval(ours, theirs), 0.0),
        _paired_t,
    ),
    # keras.io's benchmarks: the mean of the epochs of one process a side; read with a tolerance of 5 %.
    Rule("keras.io, means within 5 %", np.mean, partial(_within_margin, keep=np.mean), partial(_ratio, keep=np.mean)),
    # pytest-benchmark compare --benchmark-compare-fail=min:5%: one file a side, the ratio of the minima.
    Rule(
        "pytest-benchmark, minima within 5 %",
        np.min,
        partial(_within_margin, keep=np.min),
        partial(_ratio, keep=np.min),
    ),
    # pyperf compare_to: the values of all processes pooled, Student's t test of the means at 95 %.
    Rule("pyperf, pooled t test", lambda launch: launch, _pooled_t_test, _pooled_t),
)
