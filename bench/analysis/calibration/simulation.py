"""Noise whose truth is known: does the interval of a ratio cover it, and does a verdict lie?

Each model draws the epochs of launches that take turns, so that what a machine does in the course of time reaches both
sides. Spreads are those of recorded launches of a small model on two shared cores (docs/results/calibration.md).

python -m bench.analysis.calibration.simulation prints the table of that page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis import precision, statistics
from bench.analysis.statistics import Interval

Array = npt.NDArray[np.float64]
Noise = Callable[[int, np.random.Generator], Array]  # the logs of so many launches' epochs
EPOCHS = 9
MOST = 4_000
BETWEEN = 0.15  # standard deviation of the logs of launches
WITHIN = 0.08  # of the logs of a launch's epochs


def log_normal(launches: int, generator: np.random.Generator) -> Array:
    """Independent launches, independent epochs."""
    found: Array = generator.normal(0, WITHIN, (launches, EPOCHS))
    found += generator.normal(0, BETWEEN, (launches, 1))
    return found


def drift(launches: int, generator: np.random.Generator) -> Array:
    """The machine becomes half as slow again from the first launch to the last."""
    return log_normal(launches, generator) + np.linspace(0, np.log(1.5), launches)[:, None]


def bursts(launches: int, generator: np.random.Generator) -> Array:
    """A neighbour comes and goes, for about four launches in sixteen, and doubles what it meets."""
    state, slow = bool(generator.random() < 0.25), np.zeros((launches, 1))
    for index in range(launches):
        slow[index] = state * np.log(2)
        state = bool(generator.random() < (0.75 if state else 1 / 12))
    return log_normal(launches, generator) + slow


def bimodal(launches: int, generator: np.random.Generator) -> Array:
    """A launch has good luck or bad (memory layout, thread placement), 40 % apart, and keeps it."""
    luck: Array = generator.integers(0, 2, (launches, 1)) * np.log(1.4)
    return log_normal(launches, generator) * 0.5 + luck


def spikes(launches: int, generator: np.random.Generator) -> Array:
    """One epoch in ten takes up to three times as long."""
    late = generator.random((launches, EPOCHS)) < 0.1
    return log_normal(launches, generator) + late * generator.uniform(0, np.log(3), (launches, EPOCHS))


def in_turns(model: Noise, launches: int, generator: np.random.Generator) -> Interval:
    """Two equal sides that take turns: neighbours in time, which of them is first decided by a coin."""
    seconds = np.exp(model(2 * launches, generator))
    turned, index = generator.integers(0, 2, launches), np.arange(launches)
    return _compared(seconds[2 * index + turned], seconds[2 * index + 1 - turned])


def on_one_side(model: Noise, mean: float, launches: int, generator: np.random.Generator) -> Interval:
    """Noise that only one side feels, as a neighbour may hurt two threads and not one.

    `mean` is its log's in the long run; the ratio is in units of the long-run ratio, so the truth is 1 here too.
    """
    return _compared(np.exp(model(launches, generator) - mean), np.exp(log_normal(launches, generator)))


def _compared(ours: Array, theirs: Array) -> Interval:
    values = [np.array([statistics.launch_value(launch) for launch in side]) for side in (ours, theirs)]
    return statistics.paired_interval(values[0] / values[1], 0.95)


NOISES: dict[str, Callable[[int, np.random.Generator], Interval]] = {
    "log-normal": partial(in_turns, log_normal),
    "drift": partial(in_turns, drift),
    "bursts": partial(in_turns, bursts),
    "bimodal": partial(in_turns, bimodal),
    "spikes": partial(in_turns, spikes),
    "bursts on one side": partial(on_one_side, bursts, 0.25 * float(np.log(2))),
}


def table(numbers: Sequence[int], ratios: Sequence[float], draws: int, seed: int = 0) -> pd.DataFrame:
    """Coverage of the true ratio and verdicts, a row per noise, true ratio and number of launches.

    `wrong` counts verdicts that contradict the truth: `slower` where the side is not slower by more than 5 %, `faster`
    where it is not, `equivalent` where it is beyond.
    """
    rows = []
    for noise, interval in NOISES.items():
        for launches in numbers:
            generator = np.random.default_rng(seed)
            draw = [interval(launches, generator) for _ in range(draws)]
            for ratio in ratios:
                intervals = [Interval(*(value * ratio for value in limits)) for limits in draw]
                verdicts = [statistics.time_verdict(limits, 0.05) for limits in intervals]
                right = ("slower" if ratio > 1.05 else "faster" if ratio < 0.95 else "equivalent", "undecided")
                rows.append(
                    {
                        "noise": noise,
                        "launches": launches,
                        "ratio": ratio,
                        "coverage": np.mean([limits.low <= ratio <= limits.high for limits in intervals]),
                        "wrong": np.mean([verdict not in right for verdict in verdicts]),
                        "decided": np.mean([verdict == right[0] for verdict in verdicts]),
                        "half_width": np.median([np.sqrt(limits.high / limits.low) - 1 for limits in intervals]),
                    }
                )
    return pd.DataFrame(rows)


def ordered(within: float, pilot: int, between: float, draws: int, seed: int = 0) -> dict[str, float]:
    """What Stein's two stages come to where log ratios have a deviation of `between`."""
    generator, outcomes = np.random.default_rng(seed), []
    for _ in range(draws):
        logs = generator.normal(0, between, MOST)
        half_of_one = precision.spread(float(logs[:pilot].std(ddof=1)), pilot, 0.95)
        count = precision.needed(half_of_one, pilot, MOST, np.log1p(within))
        interval = statistics.paired_interval(np.exp(logs[:count]), 0.95, np.exp(logs[:pilot]))
        outcomes.append((interval.low <= 1 <= interval.high, np.sqrt(interval.high / interval.low) - 1, count))
    covered, widths, launches = (np.array(column, dtype=float) for column in zip(*outcomes, strict=True))
    return {
        "coverage": float(covered.mean()),
        "half_width": float(np.median(widths)),
        "narrow_enough": float((widths <= within * (1 + 1e-9)).mean()),
        "launches": float(launches.mean()),
    }


if __name__ == "__main__":
    pd.set_option("display.max_rows", None)
    print(table(numbers=(5, 10, 20), ratios=(1.0, 1.1, 1.2), draws=2_000).to_string(index=False, float_format="%.3f"))
    for within, between in ((0.03, 0.05), (0.05, 0.05), (0.03, 0.12), (0.05, 0.12)):
        print(f"--within {within:.0%}, deviation {between}: {ordered(within, 6, between, 5_000)}")
