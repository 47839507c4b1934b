"""Calls one after the other, as in a loop of one's own: what each takes, and what memory it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from bench.contract import explain
from bench.worker.errors import reason
from bench.worker.timing.memory import Looks
from bench.worker.workload.predict import keras_call
from models.datasets import Part, taken

WARM_UP = 3  # calls that are not counted: the first compiles
MOST_CALLS, POINT_SECONDS = 100, 0.1  # between two looks at the memory


def measure(
    model: keras.Model, parts: Sequence[Part], size: int, single: bool, looks: Callable[[], Looks] = Looks
) -> dict[str, dict[str, Any]]:
    """For each kind of call, what `in_a_row` found, or in `error` why there is nothing.

    Args:
        model: compiled.
        parts: samples, labels and perhaps weights, of a batch at least.
        size: of a batch that `train_on_batch` is called on.
        single: whether inference is called on one sample; else on a batch too, as a model of a fixed size needs.
        looks: makes the looks at the memory, anew for each kind of call.
    """
    batch = [taken(part, slice(size)) for part in parts]
    sample = taken(parts[0], slice(1)) if single else batch[0]
    calls: dict[str, Callable[[], Any]] = {}
    for name, track in explain.CALLS.items():
        calls[name] = (
            _with(keras_call(track, model, 1 if single else size), sample)
            if track
            else lambda: model.train_on_batch(*batch)
        )
    found = {}
    for name, call in calls.items():
        try:
            found[name] = {"error": "", **in_a_row(call, looks())}
        except Exception as error:  # whatever a user's model raises
            found[name] = {"error": reason(error)}
        found[name]["batch_size"] = 1 if single and explain.CALLS[name] else size
    return found


def _with(call: Callable[[Any], Any], sample: Part) -> Callable[[], Any]:
    return lambda: call(sample)


def in_a_row(call: Callable[[], Any], looks: Looks, now: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    """Call again and again: `calls` between two looks at the memory, what each of these took, what was held then.

    `seconds` are those of a call, one entry for each look, as those of `Looks` are.
    """
    for _ in range(WARM_UP):
        began = now()
        call()
        took = now() - began
    calls = int(min(max(POINT_SECONDS / took if took else MOST_CALLS, 1), MOST_CALLS))
    seconds = []
    for _ in range(explain.LOOKS):
        began = now()
        for _ in range(calls):
            call()
        seconds.append((now() - began) / calls)
        looks.take()
    return {"calls": calls, "seconds": seconds, **looks.to_json()}
