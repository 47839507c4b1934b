"""From a pilot: how many launches follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.plan.options import MOST_LAUNCHES, RunOptions
from bench.plan.planned import PlannedCase
from bench.run.console import RunConsole, duration
from bench.run.prepare import Prepared, prepare

if TYPE_CHECKING:
    from bench.analysis.precision import Order


ROUNDING = 1.001


def order_launches(
    options: RunOptions,
    prepared: Prepared,
    cases: Sequence[PlannedCase],
    description: dict[str, Any],
    left: float | None,
    console: RunConsole,
) -> dict[str, Any]:
    """From the pilot's spread, how many launches the ordered precision takes: into the plan, said, and as run.json."""
    from bench.analysis import frames, precision  # pandas and scipy: only between launches

    order = precision.order(frames.load(prepared.folder), options.launches, MOST_LAUNCHES, options.within, left)
    cases = [replace(planned, launches=order.launches.get(planned.case.key, planned.launches)) for planned in cases]
    most = max((planned.launches for planned in cases), default=0)
    if most > options.launches:
        seed, count = options.seed + options.launches, most - options.launches
        extra = replace(options, seed=seed, launches=count, within=None, budget_seconds=None)  # these are no pilot
        drawn = prepare(extra, prepared.folder).workloads
        for workload, more in zip(description["workloads"], drawn, strict=True):
            workload["weights"] = {**workload.get("weights", {}), **more.weights}
    description["plan"] = [planned.to_json() for planned in cases]
    words = _ordered_words(order, options.within, left)
    for said in (*(f"{planned.case.title}: {planned.launches} launches" for planned in cases), words):
        console.say(said)
    return {"within": options.within, "reached": order.within, "words": words}


def _ordered_words(order: Order, within: float | None, left: float | None) -> str:
    """What the pilot says of the precision that was ordered, in one sentence."""
    if not order.launches:
        return "the pilot has no ratio whose precision could be ordered: no backend to compare has enough launches"
    reach = f"every ratio within ±{order.within:.1%}, about {duration(order.seconds)} more"
    if within is None:
        return f"as precise as the budget allows: {reach}"
    if order.within <= within * ROUNDING:
        return f"the pilot says: {reach}"
    if math.isinf(order.wanted_seconds):
        return f"±{within:.1%} would take more than {MOST_LAUNCHES:,} launches of a case; instead {reach}"
    wanted = f"±{within:.1%} would take {duration(order.wanted_seconds)} more"
    return f"{wanted}, and the budget leaves {duration(left or 0.0)}; instead {reach}"
