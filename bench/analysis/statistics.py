"""Estimates with intervals: launches to cases, two cases to a ratio or a difference, intervals to verdicts.

Times are compared on the log scale, where noise that multiplies is symmetric; the replication is the launch, never the
epoch, because the epochs of one process share its luck.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bench.contract.case import FIRST_LOOK

MOST_SEEDS = 10_000
SPLITS = 1_000
TREND_MARGIN = 0.01  # a change between the halves of a launch that is worth telling
SETTLED_MARGIN = 0.05  # one that is ruled out where epochs are said to have settled
# By the error of all looks together, how many times what Bonferroni allows each of them may have: two looks at a series
# are wrong together more often than by chance. From a million series of 200 draws (analysis/calibration/looking.py).
LOOKS_ALIKE = {
    0.05: 1.88,
    0.025: 1.75,
    0.0125: 1.63,
    0.00625: 1.55,
    0.003125: 1.47,
    0.0015625: 1.4,
    0.0005: 1.3,
    1e-6: 1.0,
}
Values = Sequence[float] | pd.Series | npt.NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate and its confidence interval; `low` and `high` are NaN where there is too little to say."""

    estimate: float
    low: float
    high: float


def launch_value(steady_seconds: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """The one value a launch gives: its fastest steady epoch, in seconds.

    What a shared machine does to an epoch only adds to it, so the fastest varies least from launch to launch: half the
    variance of the median's, and hence half the launches for the same certainty (docs/results/calibration.md).
    """
    return float(np.min(steady_seconds))


def trend(steady_seconds: Sequence[float]) -> float:
    """The later half of a launch's steady epochs over the earlier half: below 1 they became faster.

    NaN for a single epoch. Each half counts with its geometric mean; a middle epoch belongs to neither.
    """
    half = len(steady_seconds) // 2
    if not half:
        return math.nan
    logs = np.log(np.asarray(steady_seconds, dtype=float))
    return float(np.exp(logs[-half:].mean() - logs[:half].mean()))


def trend_verdict(found: Interval) -> str:
    """`getting faster` or `getting slower` beyond 1 %, `settled` within 5 %, by the whole interval; else `unknown`."""
    if found.high < 1 - TREND_MARGIN:
        return "getting faster"
    if found.low > 1 + TREND_MARGIN:
        return "getting slower"
    return "settled" if found.low >= 1 - SETTLED_MARGIN and found.high <= 1 + SETTLED_MARGIN else "unknown"


def mean_interval(seconds: Values, level: float) -> Interval:
    """The geometric mean of positive values, with a t interval on the log scale; NaN limits for a single value.

    NaN limits too where all values are equal, since no clock repeats itself exactly; NaN all over for none.
    """
    logs = np.log(np.asarray(seconds, dtype=float))
    if not len(logs):
        return Interval(math.nan, math.nan, math.nan)
    centre = float(logs.mean())
    return around(centre, _half_width(logs, level) if np.ptp(logs) else math.nan)


def around(centre: float, half: float) -> Interval:
    """What lies so far to both sides on the log scale; NaN limits where that is no number.

    A high level of two launches goes beyond what a float holds: such a limit is infinite.
    """
    with np.errstate(over="ignore"):
        return Interval(*(float(np.exp(centre + side)) for side in (0, -half, half)))


def paired_ratios(ours: pd.DataFrame, theirs: pd.DataFrame, *, column: str = "epoch_seconds") -> pd.Series:
    """The ratios of two cases' launch values within each repetition that both have, by repetition.

    Where sides say on which node or GPU they were, one whose sides were on two is none: it would compare two machines.
    """
    sides = [side.set_index("repetition") for side in (ours, theirs)]
    ratios = (sides[0][column].astype(float) / sides[1][column].astype(float)).dropna().sort_index()
    for name in ("node", "gpu"):
        places = [side[name].reindex(ratios.index) for side in sides if name in side]
        ratios = ratios[places[0] == places[1]] if len(places) == len(sides) else ratios
    return ratios


def paired_interval(ratios: Values, level: float, pilot: Values | None = None) -> Interval:
    """The geometric mean of ratios within repetitions, with a t interval on the log scale.

    Neighbours in time share what the machine does to them, so their ratio varies less than they do (see
    docs/results/calibration.md). With `pilot`, those of the ratios that decided how many there are, and after Stein
    only they give the deviation and its degrees of freedom: with all of them the interval would be too narrow. NaN
    limits for a single ratio, or without spread.
    """
    if pilot is None or len(pilot) == len(ratios):
        return mean_interval(ratios, level)
    centre = float(np.log(np.asarray(ratios, dtype=float)).mean())
    half = _half_width(np.log(np.asarray(pilot, dtype=float)), level) * math.sqrt(len(pilot) / len(ratios))
    return around(centre, half if half > 0 else math.nan)


def log_deviation(values: Values) -> float:
    """The standard deviation of the logs."""
    return float(np.log(np.asarray(values, dtype=float)).std(ddof=1))


def ratio_interval(seconds: Values, against: Values, level: float) -> Interval:
    """The ratio of two geometric means, with Welch's t interval on the log scale.

    For sides that did not take turns, as in two runs: they are taken as independent. NaN limits where either side has a
    single launch, or both have no spread.
    """
    ours, theirs = (np.log(np.asarray(side, dtype=float)) for side in (seconds, against))
    difference = float(ours.mean() - theirs.mean())
    if min(len(ours), len(theirs)) < 2 or np.ptp(ours) + np.ptp(theirs) == 0:
        return around(difference, math.nan)
    return around(difference, float(_welch_half_width(ours, len(ours), theirs, len(theirs), level)))


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
    half = _t_limits(level)[counts - 2] * deviation / np.sqrt(counts)
    decided = counts[(centre + half <= margin) | (centre - half > margin)]
    return int(decided[0]) if len(decided) else None


def level_at_look(level: float, repetitions: Any) -> Any:
    """The level of the interval after so many repetitions, for which those of all looks hold together with `level`.

    Whoever looks after each repetition and stops as soon as he likes what he sees is wrong more often than one interval
    says. So each look has a share of the error: 2 / (n (n - 1)) of it after n repetitions, a third after the third.
    These add up to the whole however many looks follow, so there may be a cap, or none. Looks resemble each other, so
    all shares are larger by `LOOKS_ALIKE`, with which the whole is spent and not exceeded. Before the third repetition
    nobody looks. Takes arrays too.
    """
    count = np.maximum(repetitions, FIRST_LOOK - 1)
    errors, factors = np.array(list(LOOKS_ALIKE)), np.array(list(LOOKS_ALIKE.values()))
    factor = np.interp(math.log(1 - level), np.log(errors[::-1]), factors[::-1])
    share = np.minimum((FIRST_LOOK - 1) / (count * (count - 1)) * np.where(count < FIRST_LOOK, 1, factor), 1)
    return 1 - (1 - level) * share


def repetitions_to_decide(
    ratios: Values, level: float, margin: float, pilot: Values | None = None, *, looked: bool = False
) -> int | None:
    """How many paired ratios a verdict would take, if mean and spread of their logs stayed as these show them.

    None where these are too few to show a spread, or have none, or where even `MOST_SEEDS` would not do. `pilot` as for
    `paired_interval`; `looked` where the verdict is looked at after each repetition.
    """
    logs = np.log(np.asarray(ratios, dtype=float))
    shown = logs if pilot is None else np.log(np.asarray(pilot, dtype=float))
    if len(shown) < 2 or np.ptp(shown) == 0:
        return None
    counts = np.arange(len(logs), MOST_SEEDS + 1)
    freedom = counts - 1 if pilot is None or len(pilot) == len(ratios) else np.full_like(counts, len(shown) - 1)
    limits = stats.t.ppf(0.5 + level_at_look(level, counts) / 2, freedom) if looked else _t_limits(level)[freedom - 1]
    half = limits * shown.std(ddof=1) / np.sqrt(counts)
    return _first_decided(float(logs.mean()), half, counts, margin)


def launches_to_decide(seconds: Values, against: Values, level: float, margin: float) -> int | None:
    """How many launches of each side a verdict would take where they did not take turns, else as above."""
    ours, theirs = (np.log(np.asarray(side, dtype=float)) for side in (seconds, against))
    if min(len(ours), len(theirs)) < 2 or np.ptp(ours) + np.ptp(theirs) == 0:
        return None
    counts = np.arange(min(len(ours), len(theirs)), MOST_SEEDS + 1)
    half = _welch_half_width(ours, counts, theirs, counts, level)
    return _first_decided(float(ours.mean() - theirs.mean()), half, counts, margin)


@lru_cache(maxsize=16)  # a report has few levels, and many intervals at each
def _t_limits(level: float) -> Any:
    """Student's two-sided limits for 1, 2, … degrees of freedom, as many as a verdict may take launches."""
    return stats.t.ppf(0.5 + level / 2, np.arange(1, MOST_SEEDS + 1))


def _first_decided(centre: float, half: Any, counts: Any, margin: float) -> int | None:
    """The first number of launches whose interval on the log scale would give a verdict."""
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


def limit_verdict(ratio: Interval, limit: float) -> str:
    """Whether a side takes more than 1 + `limit` times as long: `exceeded`, `kept` or `undecided`, by the interval."""
    if ratio.low > 1 + limit:
        return "exceeded"
    return "kept" if ratio.high <= 1 + limit else "undecided"


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
    freedom = both**2 / (shares[0] ** 2 / (our_count - 1) + shares[1] ** 2 / (their_count - 1))
    return stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(both)


def _half_width(values: npt.NDArray[np.float64], level: float, at_least: float = 0.0) -> float:
    """Half of a t interval for the mean; the standard deviation is taken as `at_least` so large."""
    if len(values) < 2:
        return math.nan
    deviation = max(float(values.std(ddof=1)), at_least)
    return float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * deviation / math.sqrt(len(values))
