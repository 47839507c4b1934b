"""Does memory grow, from epoch to epoch and over calls in a row? From what the processes of an explanation held."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import statistics
from bench.analysis.advice import LEVEL, PLACE, Advice, Launch
from bench.analysis.statistics import Interval
from bench.contract import explain

LEAK_MIB = 0.1  # for each epoch, or a hundred calls: memory that grows by more
PAGES_MIB = 0.02  # from one look to the next: what an allocator may take for nothing
SETTLING = 2  # looks before memory has settled
HUNDRED = 100  # calls
EPOCH = "epoch"
GROWS, SETTLED, UNKNOWN = "grows", "settled", "unknown"
MEASURES = ("seconds", "low", "high", "mib", "mib_low", "mib_high")
HOST, DEVICE = "host", "device"  # whose memory, by the name that a launch tells it under
HELD = {HOST: "memory_mib", DEVICE: "device_memory_mib"}
COLUMNS = [*PLACE, "over", "memory", "batch_size", *MEASURES, "verdict", "launches"]
MISSING = Interval(math.nan, math.nan, math.nan)


def memory(groups: Mapping[tuple[str, str, str], Sequence[Launch]]) -> pd.DataFrame:
    """The rows of memory.csv, by place: growth in MiB for each epoch or a hundred calls, and the seconds of a call."""
    rows = [
        dict(zip(PLACE, place, strict=True)) | row
        for place, launches in groups.items()
        for memory in HELD
        for row in [*_epochs(launches, memory), *_calls(launches, memory)]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _epochs(launches: Sequence[Launch], memory: str) -> Iterator[dict[str, Any]]:
    looks = _looks(launches, memory)
    if looks is None:
        return
    growth = _growth([(one, 1.0) for one in looks])
    yield {"memory": memory} | _row(
        EPOCH, launches[0]["trainings"][explain.SHORT]["batch_size"], MISSING, growth, 1.0, len(launches)
    )


def _calls(launches: Sequence[Launch], memory: str) -> Iterator[dict[str, Any]]:
    for name in explain.CALLS:
        found = [one["calls"][name] for one in launches if name in one.get("calls", {})]
        if not found or any(one["error"] for one in found):
            continue
        looks = _looks(found, memory)
        if looks is None:
            continue
        scale = HUNDRED / min(one["calls"] for one in found)
        growth = _growth([(held, HUNDRED / one["calls"]) for held, one in zip(looks, found, strict=True)])
        fastest = statistics.mean_interval([min(one["seconds"]) for one in found], LEVEL)
        yield {"memory": memory} | _row(name, found[0]["batch_size"], fastest, growth, scale, len(found))


def _looks(found: Sequence[Mapping[str, Any]], memory: str) -> list[Sequence[float]] | None:
    """What was held at each look; of a device None where a launch tells of none: on a CPU, or recorded before."""
    looks = [one.get(HELD[memory], []) for one in found]
    return None if memory == DEVICE and not all(looks) else looks


def _row(
    over: str, batch_size: int, seconds: Interval, growth: Interval, scale: float, launches: int
) -> dict[str, Any]:
    values = (seconds.estimate, seconds.low, seconds.high, growth.estimate, growth.low, growth.high)
    verdict = _verdict(growth, max(LEAK_MIB, PAGES_MIB * scale))
    named = {"over": over, "batch_size": batch_size, "verdict": verdict, "launches": launches}
    return {**named, **dict(zip(MEASURES, values, strict=True))}


def _growth(held: Sequence[tuple[Sequence[float], float]]) -> Interval:
    """By how much memory grows from one look to the next, over launches, each of which comes with a scale."""
    slopes = []
    for looks, scale in held:
        settled = np.asarray(looks[SETTLING:], dtype=float)
        if len(settled) < 3:
            return MISSING
        # The median step: a single page of growth, as an allocator takes, is no slope.
        slopes.append(scale * float(np.median(np.diff(settled))))
    return statistics.difference_interval(pd.Series(slopes), LEVEL)


def _verdict(growth: Interval, least: float) -> str:
    """By the whole interval; a single launch has none."""
    if growth.low > least:
        return GROWS
    return SETTLED if growth.high <= least else UNKNOWN


def leaks(table: pd.DataFrame) -> Iterator[Advice]:
    """A sentence for all that grows."""
    for (*place, memory), rows in table.groupby([*PLACE, "memory"], sort=False):
        whose = "its memory" if memory == HOST else "its memory on the device"
        settled = [name for name in explain.CALLS if explain.CALLS[name] and _is(rows, name, SETTLED)]
        for row in rows[rows["verdict"] == GROWS].to_dict("records"):
            by = f"{row['mib']:.2g} [{row['mib_low']:.2g}, {row['mib_high']:.2g}] MiB"
            if row["over"] == EPOCH:
                text = f"{whose} grows by {by} an epoch: something that a callback, a layer or a metric keeps"
            else:
                others = f"; with {' and '.join(settled)} it does not" if settled and explain.CALLS[row["over"]] else ""
                text = f"{whose} grows by {by} over a hundred calls of {row['over']} in a row{others}"
            workload, device, backend = (str(part) for part in place)
            yield Advice(workload, device, backend, 1.0, text)


def _is(rows: pd.DataFrame, over: str, verdict: str) -> bool:
    return bool((rows["over"].eq(over) & rows["verdict"].eq(verdict)).any())
