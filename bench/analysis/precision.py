"""From a pilot's spread: how many launches narrow every ratio's interval to so many percent.

Two stages after Stein (Annals of Mathematical Statistics 16, 1945): the number of launches follows from the pilot alone
and is then kept, so that looking at the intervals on the way cannot spoil their coverage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from scipy import stats

from bench.analysis import statistics
from bench.analysis.comparisons import pairs
from bench.analysis.frames import CASES, Run, counted

FEWEST = 3  # ratios, from which a deviation is worth anything
Key = tuple[Any, ...]  # the values of a case's columns


class Order(NamedTuple):
    """Launches of each case in all, the half width of the ratios' intervals that they should give, and their time.

    `within` is a fraction (0.03: ±3 %); `seconds` is what the launches beyond the pilot take; `wanted_seconds` what
    those take that give the precision asked for, infinite where no allowed number of launches does.
    """

    launches: dict[Key, int]
    within: float
    seconds: float
    wanted_seconds: float


class _Pilot(NamedTuple):
    """What a pilot shows: of each comparison both cases and its `spread`; seconds of a launch."""

    shown: dict[tuple[Key, Key], float]
    seconds: Mapping[Key, float]
    launches: int
    most: int


def order(run: Run, pilot: int, most: int, within: float | None, budget_seconds: float | None) -> Order:
    """How many launches bring every ratio's interval within ± `within`, no longer than `budget_seconds` from now on.

    Without `within`, as precise as the budget allows. Cases that cannot be compared, or whose pilot has fewer than
    `FEWEST` ratios, keep their pilot; `launches` names the others.
    """
    shown = _pilot(run, pilot, most)
    half, limit = math.log1p(within or 0.0), math.inf if budget_seconds is None else budget_seconds
    least, wanted = _narrowest(shown), math.inf
    if half >= least:
        wanted = _seconds(shown, half)
    if wanted > limit or half < least:
        half = _affordable(shown, max(half, least), limit)
    return Order(_launches(shown, half), math.expm1(half), _seconds(shown, half), wanted)


def spread(deviation: float, shown: int, level: float) -> float:
    """Half of the interval that a single ratio would have, from the deviation of `shown` log ratios.

    Stein's rule: the quantile is that of the ratios that the pilot has, however many launches follow.
    """
    return float(stats.t.ppf(0.5 + level / 2, shown - 1)) * deviation


def needed(half_of_one: float, pilot: int, most: int, half: float) -> int:
    """Launches of each side for an interval of ± `half` on the log scale, from the `spread` of a pilot."""
    return min(most, max(pilot, math.ceil((half_of_one / half) ** 2))) if half > 0 else most


def _pilot(run: Run, pilot: int, most: int) -> _Pilot:
    shown = {}
    comparable, _ = pairs(run)
    for pair in comparable:
        ratios = statistics.paired_ratios(pair.ours, pair.theirs)
        ratios = ratios[ratios.index < pilot]
        if len(ratios) >= FEWEST:
            sides = pair.case.key, pair.opponent.key
            shown[sides] = spread(statistics.log_deviation(ratios), len(ratios), pair.level)
    groups = counted(run).groupby(CASES, sort=False)
    seconds: dict[Any, float] = {key: float(group["wall_seconds"].astype(float).mean()) for key, group in groups}
    return _Pilot(shown, seconds, pilot, most)


def _launches(pilot: _Pilot, half: float) -> dict[Key, int]:
    """Launches of each case: as many as its widest comparison needs."""
    counts: dict[Key, int] = {}
    for sides, half_of_one in pilot.shown.items():
        launches = needed(half_of_one, pilot.launches, pilot.most, half)
        counts |= {side: max(counts.get(side, 0), launches) for side in sides}
    return counts


def _seconds(pilot: _Pilot, half: float) -> float:
    """Seconds of the launches beyond the pilot."""
    counts = _launches(pilot, half)
    return sum(pilot.seconds[key] * (launches - pilot.launches) for key, launches in counts.items())


def _narrowest(pilot: _Pilot) -> float:
    """The half width that the largest allowed number of launches gives the worst comparison."""
    return max(_halves(pilot, pilot.most), default=0.0)


def _halves(pilot: _Pilot, launches: int) -> Iterator[float]:
    for half_of_one in pilot.shown.values():
        yield half_of_one / math.sqrt(launches)


def _affordable(pilot: _Pilot, least: float, limit: float) -> float:
    """The smallest half width, from `least` on, whose launches take no longer than the limit; else the pilot's own."""
    if _seconds(pilot, least) <= limit:
        return least
    low, high = least, max(_halves(pilot, pilot.launches), default=0.0)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _seconds(pilot, middle) <= limit else (middle, high)
    return high
