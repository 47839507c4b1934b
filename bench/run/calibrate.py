"""Are the verdicts right on this machine? Many launches of a short workload, compared with each other.

Besides the backends' own launches the reference backend trains, in turns with them, on a tenth more batches: a
slow-down that is really there. What the launches show is worked out in bench/analysis/calibration/calibrate.py.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.contract.errors import UsageError
from bench.plan.options import CalibrateOptions
from bench.run import measure
from bench.run.console import RunConsole
from bench.run.measure import run
from bench.run.workflow import MeasuringRun

PLANTED = 1.10  # of the batches that the reference backend's other launches train on
BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # not beyond a parent that is killed


def calibrate(options: CalibrateOptions, console: RunConsole) -> Path:
    """Record what is missing of the launches and return the run's folder."""
    with _load(options.load):
        folder = run(options, console, preparing=PREPARING)
    assert folder is not None  # for the types: only a dry run leaves none
    return folder


def plant_slow_down(run: MeasuringRun) -> MeasuringRun:
    """Add the first backend's cases, which is the reference where it works, each with more batches."""
    available = {one.workload: one.train_samples for one in run.prepared.workloads}
    planted = []
    for planned in run.cases:
        case = planned.case
        samples = max(1, round(case.samples // case.batch_size * (PLANTED - 1))) * case.batch_size + case.samples
        if samples > available[case.workload]:
            raise UsageError(
                f"--samples {case.samples}: the planted slow-down trains on {samples}, and {case.workload} has "
                f"{available[case.workload]}; take fewer"
            )
        if case.backend == run.prepared.backend:
            planted.append(replace(planned, case=replace(case, samples=samples)))
    return replace(run, cases=[*run.cases, *planted])


_PLANNED = measure.PREPARING.index(measure.plan_cases) + 1
PREPARING = (*measure.PREPARING[:_PLANNED], plant_slow_down, *measure.PREPARING[_PLANNED:])  # else as any run


@contextlib.contextmanager
def _load(processes: int) -> Iterator[None]:
    """Keep this many cores busy meanwhile."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
