"""Why a step takes as long as it does on one backend: the same training with one thing taken away after the other.

    python -m bench.worker.programs.explain --backend torch --device cpu --numerics float32 --workload mlp --seed 0 \
        --step-seconds 0.002 --weights FILE --output FILE --trace FOLDER

The file holds JSON: what every training took, and what was seen besides; see `bench.worker.workload.parts`.
With --trace an epoch is traced at the end; see `bench.worker.workload.traced`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract import explain
from bench.contract.files import write
from bench.contract.messages import Messenger
from bench.worker.process import environment

if TYPE_CHECKING:  # Keras is imported once the backend is chosen
    from bench.worker.script.first_fit import Fit
    from bench.worker.workload.trainings import Bench
    from models import Workload

SPAN_SECONDS = 0.25  # of an epoch, about
LEAST_STEPS, MOST_STEPS = 2 * explain.SHORTER, 4 * explain.EXECUTIONS


def main() -> None:
    """Measure; the parent reads nothing but the output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--backend", "--device", "--numerics", "--workload"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--step-seconds", type=float, required=True, help="about what a step takes")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--trace", type=Path, help="the folder for a trace, beside the output; without it there is none"
    )
    given = parser.parse_args()
    messenger = Messenger()
    backend = environment.prepare(given.backend, given.device, given.numerics)

    from bench.worker.script.first_fit import until_fit_is_done
    from bench.worker.workload import load, parts, traced
    from models import Workload

    def take_apart(bench: Bench, samples: int) -> None:
        measured = parts.measure(bench, backend)
        if given.trace:  # last of all, since what a profiler has touched is timed no more
            measured["operations"] = traced.operations(bench, backend, given.trace)
        about = {name: getattr(given, name) for name in ("workload", "backend", "device", "numerics", "seed")}
        versions = environment.versions(given.backend)
        write(given.output, {**about, "versions": versions, **parts.about(bench, samples), **measured})
        messenger.send("explained")

    found = load.load_workload_or_script(given.workload)
    if isinstance(found, Workload):
        take_apart(*_of_workload(found, given))
    else:
        until_fit_is_done(replace(found, evaluates=False), lambda fit: take_apart(*_of_script(fit, given)))


def _of_workload(workload: Workload, given: argparse.Namespace) -> tuple[Bench, int]:
    """What a workload is measured by, and how many samples its epoch has."""
    from bench.worker.workload import load
    from bench.worker.workload.trainings import Bench
    from models.datasets import count

    steps = _steps(given.step_seconds)
    dataset = load.dataset_of(workload, steps * workload.batch_size)
    there = count(dataset.x_train)
    drawn = load.batches(dataset, there, min(workload.batch_size, there), given.seed)
    bench = Bench(workload, drawn.parts, given.weights, given.seed, given.numerics, steps)
    return bench, load.training_samples(workload.dataset, dataset)


def _of_script(fit: Fit, given: argparse.Namespace) -> tuple[Bench, int]:
    """The same of a script's fit."""
    from bench.worker.script.taken_apart import bench_of

    built, size = fit.built()
    return bench_of(built, size, _steps(given.step_seconds), given.weights, given.seed)


def _steps(step_seconds: float) -> int:
    """Of an epoch: a multiple of both what is tried at once and what the short epoch divides it by."""
    wanted = SPAN_SECONDS / step_seconds if step_seconds else MOST_STEPS
    steps = int(min(max(wanted, LEAST_STEPS), MOST_STEPS))
    unit = explain.EXECUTIONS if steps >= explain.EXECUTIONS else explain.SHORTER
    return steps - steps % unit


if __name__ == "__main__":
    main()
