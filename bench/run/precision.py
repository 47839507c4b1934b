"""From a pilot: how many launches follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from bench.contract.run_json import Ordered, Workload
from bench.plan.options import MOST_LAUNCHES
from bench.plan.planned import PlannedCase
from bench.run.console import duration
from bench.run.prepare import prepare
from bench.run.workflow import MeasuringRun, as_described

if TYPE_CHECKING:
    from bench.analysis.precision import Order

ROUNDING = 1.001


def is_whole_pilot(run: MeasuringRun) -> bool:
    """Whether the budget left room for every repetition of the pilot."""
    return min(planned.launches for planned in run.cases) >= run.options.launches


def order_precision(run: MeasuringRun) -> MeasuringRun:
    """From the pilot's spread, how many launches the ordered precision takes: into the plan, and said."""
    options = run.options
    if not options.ordered:
        return run
    if not is_whole_pilot(run):
        words = f"the budget ended within the pilot of {options.launches} repetitions"
        run.console.say(words)
        return run.describing(ordered=Ordered(within=options.within, words=words))
    if run.description.ordered is not None:  # before it was interrupted
        return run
    from bench.analysis import frames, precision  # pandas and scipy: only between launches

    left = None if run.until is None else max(0.0, run.until - run.now())
    order = precision.order(frames.load(run.folder), options.launches, MOST_LAUNCHES, options.within, left)
    cases = [replace(one, launches=order.launches.get(one.case.key, one.launches)) for one in run.cases]
    workloads = _with_weights(run, max((planned.launches for planned in cases), default=0))
    words = _ordered_words(order, options.within, left)
    for said in (*(f"{planned.case.title}: {planned.launches} launches" for planned in cases), words):
        run.console.say(said)
    ordered = Ordered(within=options.within, reached=order.within, words=words)
    return run.describing(workloads=workloads, plan=as_described(cases), ordered=ordered)


def ordered_cases(run: MeasuringRun) -> Sequence[PlannedCase]:
    """The cases of the pilot, each with the launches that were ordered."""
    counts = [run.description.launches_of(planned) for planned in run.description.plan]
    return [replace(planned, launches=count) for planned, count in zip(run.cases, counts, strict=True)]


def _with_weights(run: MeasuringRun, launches: int) -> tuple[Workload, ...]:
    """The workloads with initial weights for so many launches of a case, drawn where the pilot has none."""
    options, workloads = run.options, run.description.workloads
    if launches <= options.launches:
        return workloads
    seed, count = options.seed + options.launches, launches - options.launches
    extra = replace(options, seed=seed, launches=count, within=None, budget_seconds=None)  # these are no pilot
    drawn = prepare(extra, run.folder).workloads
    return tuple(
        msgspec.structs.replace(one, weights={**one.weights, **more.weights})
        for one, more in zip(workloads, drawn, strict=True)
    )


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
