"""The search for a track's best knobs: every configuration trains a few steps a few times.

    python -m bench.worker.programs.tuning --workload=mlp … --track=tuned --steps=128 --weights=FILE --output=FILE

Each line of the output is a JSON object: `{"begun": {knobs}}` before a configuration is tried, and afterwards
`{"knobs", "status", "reason", "step_seconds", "disturbed"}`. Lines that are there already are taken as they are, so
that a search goes on after a configuration has taken its process down. With `--knobs`, a JSON object, that
configuration alone is tried: its turn in a round of the final.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contract.case import CASE_DEFAULTS, CASE_OPTIONS, Case, input_unavailable
from bench.contract.disturbance import launch_disturbed
from bench.contract.messages import Messenger
from bench.contract.tuning import HOPELESS, changed_knobs, knob_words
from bench.worker.process import environment

# Passes over the steps: the first is cold, the fastest of the others counts.
LEAST_PASSES, MOST_PASSES, ENOUGH_SECONDS = 3, 12, 0.5
FINALISTS = 2  # are tried once more, with memory that is kept

Knobs = dict[str, Any]
Row = dict[str, Any]  # knobs, status, reason, step_seconds, disturbed


class EnoughError(Exception):
    """A configuration need not be timed any longer."""


def main() -> None:
    """Try what has not been tried; the parent reads nothing but the output."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option, kind in CASE_OPTIONS.items():
        default = CASE_DEFAULTS.get(option)
        parser.add_argument(option, type=kind, required=default is None, default=default)
    parser.add_argument("--steps", type=int, required=True, help="of a pass")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--knobs", type=json.loads, help="try these alone")
    given = vars(parser.parse_args())
    steps, weights, output, alone = (given.pop(name) for name in ("steps", "weights", "output", "knobs"))
    case = Case(**given)
    messenger = Messenger()
    backend = environment.prepare(case.backend, case.device, case.numerics)

    from bench.worker.errors import reason
    from bench.worker.workload import train

    trial = Trial(replace(case, samples=steps * case.batch_size, epochs=MOST_PASSES), weights, backend.barrier)

    def refused(name: str, value: Any) -> str:
        return input_unavailable(value, case.backend) if name == "input" else ""

    known, done = read(output), 0
    with output.open("a", encoding="utf-8") as file:

        def write(line: Mapping[str, Any]) -> None:
            print(json.dumps(line), file=file, flush=True)

        def measure(knobs: Knobs) -> Row:
            write({"begun": knobs})
            messenger.send("trying", number=done + 1, about=about, words=knob_words(knobs))
            row: Row = {"knobs": knobs, "status": "ok", "reason": "", "step_seconds": None, "disturbed": ""}
            try:
                if knobs["malloc"] == "keep":
                    train.keep_freed_memory()
                row["step_seconds"], row["disturbed"] = trial.measure(knobs)
            except Exception as error:  # whatever a knob makes a framework do
                row |= {"status": "failed", "reason": reason(error)}
            write(row)
            return row

        if alone is not None:
            about = 1
            measure(alone)
            return
        values = trial.values(train.knobs(case.backend, case.track))
        about = len(configurations(values, refused)) + FINALISTS
        for row in search(values, known, measure, refused):
            done += 1
            if row["status"] == "skipped" and row not in known:
                write(row)


def read(path: Path) -> list[Row]:
    """The configurations that a search has dealt with."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "begun" not in line]


def configurations(values: Mapping[str, Sequence[Any]], refused: Callable[[str, Any], str]) -> list[Knobs]:
    """All that may be tried with memory that is given back: the default first, then those with ever more knobs changed.

    A value that `refused` has a reason for is there alone, for that reason, and not together with others.
    """
    default = {name: options[0] for name, options in values.items()}
    every = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    ordered = sorted(every, key=lambda one: len(changed_knobs(one, default)))
    return [
        {**knobs, "malloc": "default"}
        for knobs in ordered
        if len(changed_knobs(knobs, default)) < 2 or not any(refused(name, value) for name, value in knobs.items())
    ]


def search(
    values: Mapping[str, Sequence[Any]],
    known: Sequence[Row],
    measure: Callable[[Knobs], Row],
    refused: Callable[[str, Any], str],
) -> Iterator[Row]:
    """Every configuration of the knobs' values, a row each.

    First the default (each knob's first value), then each other value alone, then those together that neither failed
    nor were far slower alone. A value that `refused` has a reason for is skipped. The fastest are tried again with
    `malloc=keep`, last, since it cannot be undone within a process.
    """
    default = {**{name: options[0] for name, options in values.items()}, "malloc": "default"}
    rows: list[Row] = []

    def tried(knobs: Knobs) -> Row:
        found = next((row for row in known if row["knobs"] == knobs), None)
        reasons = [refused(name, knobs[name]) for name in changed_knobs(knobs, default)]
        reason = "; ".join(filter(None, reasons)) or _hopeless(knobs, default, rows)
        if found is None and reason:
            found = {"knobs": knobs, "status": "skipped", "reason": reason, "step_seconds": None, "disturbed": ""}
        rows.append(found or measure(knobs))
        return rows[-1]

    for knobs in configurations(values, refused):
        yield tried(knobs)
    finished = [row for row in rows if row["status"] == "ok"]
    for row in sorted(finished, key=lambda row: row["step_seconds"])[:FINALISTS]:
        yield tried({**row["knobs"], "malloc": "keep"})


def _hopeless(knobs: Knobs, default: Knobs, rows: Sequence[Row]) -> str:
    """Why a combination need not be tried: one of its knobs, turned alone, failed or was far slower."""
    if len(changed_knobs(knobs, default)) < 2 or knobs["malloc"] == "keep":
        return ""
    for name in changed_knobs(knobs, default):
        alone = next(row for row in rows if row["knobs"] == {**default, name: knobs[name]})
        if alone["status"] != "ok":
            return f"{name}={knobs[name]} alone {alone['status']}"
        if rows[0]["status"] == "ok" and alone["step_seconds"] > HOPELESS * rows[0]["step_seconds"]:
            return (
                f"{name}={knobs[name]} alone took {alone['step_seconds'] / rows[0]['step_seconds']:.1f} times as long"
            )
    return ""


class Trial:
    """Trains a case's workload a few steps at a time."""

    def __init__(self, case: Case, weights: Path, barrier: Callable[[], None]) -> None:
        from bench.worker.workload import load

        self._case, self._barrier = case, barrier
        self._workload = load.load_workload(case.workload)
        self._weights = load.load_weights(weights)
        dataset = load.dataset_of(self._workload, case.samples)
        self._batches = load.batches(dataset, case.samples, case.batch_size, seed=0).widened(case.numerics)

    def values(self, values: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The knobs' values that this workload tells apart; of `jit_compile` the default and its opposite."""
        from bench.worker.backends import kinds

        model = self._compiled()[0]
        idle = kinds.idle_knobs({type(layer).__name__ for layer in model.layers})
        found = {name: options[:1] if name in idle else options for name, options in values.items()}
        if "jit_compile" in found:
            found["jit_compile"] = ("auto", not model.jit_compile)
        return found

    def _compiled(self, **how: Any) -> tuple[Any, str]:
        """A fresh model with the initial weights, compiled, and the name of its metric."""
        from bench.worker.workload.compiled import metric_name
        from bench.worker.workload.model import compilation, compile_model, fresh

        model = fresh(self._workload, self._batches.x)
        model.set_weights(self._weights)
        given = compilation(self._workload, model, self._batches.y)
        compile_model(model, given, **how)
        return model, metric_name(self._workload, given, model)

    def measure(self, knobs: Knobs) -> tuple[float, str]:
        """Seconds of a step in the fastest steady pass, and why the passes count as disturbed (empty: they do not)."""
        import keras

        from bench.worker.timing import nvml
        from bench.worker.timing.clock import Epoch, EpochClock
        from bench.worker.workload import numerics, train

        case, steps = self._case, self._case.samples // self._case.batch_size
        passes: list[float] = []

        def watch(_index: int, epoch: Epoch) -> None:
            passes.append(epoch.seconds / steps)
            if len(passes) >= LEAST_PASSES and sum(passes[1:]) * steps > ENOUGH_SECONDS:
                raise EnoughError

        keras.utils.set_random_seed(0)
        numerics.choose(case.numerics)  # which clearing the session forgets
        model, metric = self._compiled(**train.execution(case.track, knobs))
        gpu = nvml.gauge() if case.device == "gpu" else nvml.nothing
        clock = EpochClock(metric, self._barrier, watch, gpu=gpu)
        try:
            train.train(case, model, self._batches.parts, knobs, clock)
        except EnoughError:
            pass
        finally:
            del model
            keras.backend.clear_session()
            gc.collect()
        return min(passes[1:]), launch_disturbed([epoch.to_json() for epoch in clock.epochs])


if __name__ == "__main__":
    main()
