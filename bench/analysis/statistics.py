"""Estimates with intervals: launches to cases, two cases to a ratio or a difference, intervals to verdicts.

Times are compared on the log scale, where noise that multiplies is symmetric; the replication is the launch, never the
epoch, because the epochs of one process share its luck.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

MOST_SEEDS = 10_000
SPLITS = 1_000
Values = Sequence[float] | pd.Series | npt.NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate and its confidence interval; `low` and `high` are NaN where there is too little to say."""

    estimate: float
    low: float
    high: float


def launch_value(steady_seconds: Sequence[float]) -> float:
    """The one value a launch gives: the median of its steady epochs, in seconds."""
    return float(np.median(steady_seconds))


def mean_interval(seconds: Values, level: float) -> Interval:
    """The geometric mean of positive values, with a t interval on the log scale; NaN limits for a single value."""
    logs = np.log(np.asarray(seconds, dtype=float))
    centre = float(logs.mean())
    half = _half_width(logs, level)
    return Interval(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def ratio_interval(seconds: Values, against: Values, level: float) -> Interval:
    """The ratio of two geometric means, with Welch's t interval on the log scale.

    The two sides are taken as independent: on shared machines pairing by repetition gained nothing, and Welch's
    interval has more degrees of freedom. NaN limits where either side has a single launch.
    """
    ours, theirs = (np.log(np.asarray(side, dtype=float)) for side in (seconds, against))
    difference = float(ours.mean() - theirs.mean())
    if min(len(ours), len(theirs)) < 2:
        return Interval(math.exp(difference), math.nan, math.nan)
    half = float(_welch_half_width(ours, len(ours), theirs, len(theirs), level))
    return Interval(math.exp(difference), math.exp(difference - half), math.exp(difference + half))


def difference_interval(differences: Values, level: float, resolution: float = 0.0) -> Interval:
    """The mean of differences paired by seed, with a t interval; NaN limits for a single pair, NaN all over for none.

    `resolution` is the step in which the metric can move (one test sample of accuracy). The differences are taken to
    spread at least as much as that rounding makes them, so that a few that happen to be equal do not pass for certain.
    """
    values = np.asarray(differences, dtype=float)
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    centre = float(values.mean())
    # Each of the two metrics is rounded uniformly within a step: variance resolution² / 12 each.
    half = _half_width(values, level, at_least=resolution / math.sqrt(6))
    return Interval(centre, centre - half, centre + half)


def seeds_to_decide(differences: Values, level: float, margin: float, resolution: float = 0.0) -> int | None:
    """How many paired differences a verdict would take, if mean and spread stayed as these show them.

    None where these are too few to show a spread, or where even `MOST_SEEDS` would not do.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        return None
    centre, deviation = abs(float(values.mean())), max(float(values.std(ddof=1)), resolution / math.sqrt(6))
    counts = np.arange(len(values), MOST_SEEDS + 1)
    half = stats.t.ppf(0.5 + level / 2, counts - 1) * deviation / np.sqrt(counts)
    decided = counts[(centre + half <= margin) | (centre - half > margin)]
    return int(decided[0]) if len(decided) else None


def launches_to_decide(seconds: Values, against: Values, level: float, margin: float) -> int | None:
    """How many launches of each side a verdict on their ratio would take, if means and spreads stayed as they are.

    None where either side has a single launch, or where even `MOST_SEEDS` would not do.
    """
    ours, theirs = (np.log(np.asarray(side, dtype=float)) for side in (seconds, against))
    if min(len(ours), len(theirs)) < 2:
        return None
    centre = float(ours.mean() - theirs.mean())
    counts = np.arange(min(len(ours), len(theirs)), MOST_SEEDS + 1)
    half = _welch_half_width(ours, counts, theirs, counts, level)
    low, high = centre - half, centre + half
    least, most = math.log(1 - margin), math.log(1 + margin)
    decided = counts[(low > most) | (high < least) | ((low >= least) & (high <= most))]
    return int(decided[0]) if len(decided) else None


def noise_floor(seconds: Values) -> float:
    """How large a ratio a case's launches give against themselves: what 95 % of random halves stay below, at least 1.

    All halves where there are no more than `SPLITS` of them, else so many drawn with a fixed seed; NaN for one launch.
    """
    logs = np.log(np.asarray(seconds, dtype=float))
    count, half = len(logs), len(logs) // 2
    if not half:
        return math.nan
    if math.comb(count, half) <= SPLITS:
        chosen = [list(one) for one in itertools.combinations(range(count), half)]
    else:
        generator = np.random.default_rng(0)
        chosen = [list(generator.permutation(count)[:half]) for _ in range(SPLITS)]
    total = logs.sum()
    sums = np.array([logs[one].sum() for one in chosen])
    return float(np.exp(np.quantile(np.abs(sums / half - (total - sums) / (count - half)), 0.95)))


def level_of(comparisons: int) -> float:
    """The level of each of so many intervals for which all hold together with 95 % (Bonferroni)."""
    return 1 - 0.05 / max(comparisons, 1)


def time_verdict(ratio: Interval, margin: float) -> str:
    """`slower`, `faster`, `equivalent` or `undecided`, from the printed interval alone."""
    if ratio.low > 1 + margin:
        return "slower"
    if ratio.high < 1 - margin:
        return "faster"
    if ratio.low >= 1 - margin and ratio.high <= 1 + margin:
        return "equivalent"
    return "undecided"


def metric_verdict(difference: Interval, margin: float) -> str:
    """`equivalent`, `different` or `undecided`, from the printed interval alone."""
    if difference.low >= -margin and difference.high <= margin:
        return "equivalent"
    if difference.low > margin or difference.high < -margin:
        return "different"
    return "undecided"


def _welch_half_width(ours: Any, our_count: Any, theirs: Any, their_count: Any, level: float) -> Any:
    """Half of Welch's t interval for a difference of means, were there so many values of each spread."""
    shares = ours.var(ddof=1) / our_count, theirs.var(ddof=1) / their_count
    both = shares[0] + shares[1]
    if not np.all(both > 0):
        return np.zeros_like(both)
    freedom = both**2 / (shares[0] ** 2 / (our_count - 1) + shares[1] ** 2 / (their_count - 1))
    return stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(both)


def _half_width(values: npt.NDArray[np.float64], level: float, at_least: float = 0.0) -> float:
    """Half of a t interval for the mean; the standard deviation is taken as `at_least` so large."""
    if len(values) < 2:
        return math.nan
    deviation = max(float(values.std(ddof=1)), at_least)
    return float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * deviation / math.sqrt(len(values))
