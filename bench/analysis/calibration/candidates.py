"""What was tried besides what `statistics` does: other values of a launch, other intervals of a ratio.

Nothing here takes part in a report. `nox -s calibrate` holds each against recorded launches; docs/results/
calibration.md says what came out and what was chosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bench.analysis import statistics
from bench.analysis.statistics import Interval

Array = npt.NDArray[np.float64]
RESAMPLES = 500
RETRIED = 20_000  # pairs of orders at most, for the distribution of a rank sum


def launch_values(epochs: pd.DataFrame) -> pd.DataFrame:
    """A row per launch of one case, a column per way to make one value, in seconds, of its steady epochs."""
    steady = epochs[~epochs["cold"].astype(bool)].sort_values(["repetition", "attempt", "epoch"])
    return pd.DataFrame(
        {name: steady.groupby(["repetition", "attempt"]).apply(one) for name, one in VALUES.items()}
    ).reset_index()


def _quantile(share: float) -> Callable[[pd.DataFrame], float]:
    return lambda launch: float(launch["seconds"].quantile(share))


def _quiet_median(launch: pd.DataFrame) -> float:
    """Of the epochs that were not disturbed, where there are any."""
    quiet = launch.loc[~launch["disturbed"].astype(bool), "seconds"]
    return float((quiet if len(quiet) else launch["seconds"]).median())


def _without_wait(launch: pd.DataFrame) -> float:
    """Less the time that threads waited for a CPU, shared among the CPUs they ran on, at most half of it."""
    waited = launch["wait_seconds"].astype(float).fillna(0.0) / 2
    return float((launch["seconds"] - np.minimum(waited, launch["seconds"] / 2)).median())


def _without_steal(launch: pd.DataFrame) -> float:
    """Less what the host took."""
    return float((launch["seconds"] * (1 - launch["steal_fraction"].astype(float).fillna(0.0))).median())


def _per_probe(launch: pd.DataFrame) -> float:
    """In units of the fixed piece of work around it, times what that takes in the median."""
    return float((launch["seconds"] / launch["probe_seconds"].astype(float)).median())


VALUES: dict[str, Callable[[pd.DataFrame], float]] = {
    "median": lambda launch: float(launch["seconds"].median()),
    "mean": lambda launch: float(launch["seconds"].mean()),
    "minimum": lambda launch: float(launch["seconds"].min()),
    "10 % quantile": _quantile(0.10),
    "25 % quantile": _quantile(0.25),
    "median of undisturbed": _quiet_median,
    "median less steal": _without_steal,
    "median less waiting": _without_wait,
    "median / probe": _per_probe,
    "median CPU seconds": lambda launch: float(launch["cpu_seconds"].median()),
}


def paired_t(ours: Array, theirs: Array, level: float) -> Interval:
    """Student's on the differences of logs within a repetition."""
    return statistics.paired_interval(ours / theirs, level)


def hodges_lehmann(ours: Array, theirs: Array, level: float) -> Interval:
    """The median of all ratios between the sides, with the interval that inverts the Mann-Whitney test."""
    ratios = np.sort(np.log(ours)[:, None] - np.log(theirs)[None, :], axis=None)
    skipped = _rank_sum_quantile(len(ours), len(theirs), (1 - level) / 2)
    if skipped < 1:
        return Interval(float(np.exp(np.median(ratios))), float("nan"), float("nan"))
    low, high = ratios[skipped - 1], ratios[len(ratios) - skipped]
    return Interval(*(float(np.exp(value)) for value in (np.median(ratios), low, high)))


def _rank_sum_quantile(ours: int, theirs: int, tail: float) -> int:
    """How many of the extreme ratios on each side lie outside the interval."""
    deviation = np.sqrt(ours * theirs * (ours + theirs + 1) / 12)
    if ours + theirs > 20:
        return max(0, int(ours * theirs / 2 + stats.norm.ppf(tail) * deviation))
    sums = np.array(
        [sum(ranks) for ranks in itertools.islice(itertools.combinations(range(ours + theirs), ours), RETRIED)]
    )
    statistic = np.sort(sums - ours * (ours - 1) // 2)
    if len(statistic) == RETRIED:  # too many orders to list
        return max(0, int(ours * theirs / 2 + stats.norm.ppf(tail) * deviation))
    below = np.searchsorted(statistic, np.arange(ours * theirs + 1), side="left") / len(statistic)
    return int(np.argmax(below > tail) - 1) if (below > tail).any() else 0


def bootstrap(ours: Array, theirs: Array, level: float) -> Interval:
    """Percentiles of resampled launches' geometric means: launches are drawn, as in a hierarchical bootstrap's top."""
    generator = np.random.default_rng(0)
    means = [
        np.log(side)[generator.integers(0, len(side), (RESAMPLES, len(side)))].mean(axis=1) for side in (ours, theirs)
    ]
    low, high = np.quantile(means[0] - means[1], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(stats.gmean(ours) / stats.gmean(theirs)), float(np.exp(low)), float(np.exp(high)))


def welch(ours: Array, theirs: Array, level: float) -> Interval:
    """Welch's t on the log scale."""
    return statistics.ratio_interval(ours, theirs, level)


INTERVALS: dict[str, Callable[[Array, Array, float], Interval]] = {
    "Welch's t of logs": welch,
    "paired t of logs": paired_t,
    "Hodges-Lehmann": hodges_lehmann,
    "bootstrap": bootstrap,
}
