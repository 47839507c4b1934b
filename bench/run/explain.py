"""An explanation: on each backend processes of their own take a training step apart; none of it counts as a timing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from bench.contract.case import stem
from bench.contract.operations import TRACES
from bench.launch.process import launch
from bench.plan.cases import devices_of
from bench.plan.options import ExplainOptions
from bench.run.console import RunConsole, duration
from bench.run.prepare import prepare
from bench.run.workflow import (
    AnyRun,
    MeasuringRun,
    Run,
    Step,
    carry_out,
    check_machine,
    described,
    find_limits,
    make_folder,
    open_log,
    tell_remarks,
)

LAUNCHES = 3  # of each backend, for a run that is explained besides
LIMIT_SECONDS, STEP_FACTOR = 900.0, 5_000.0  # times what a step takes: some ten trainings of a few hundred steps


class Process(NamedTuple):
    """A process to come: a workload on a backend and device, with a seed."""

    workload: str
    backend: str
    device: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class ExplainingRun(Run):
    """A run of explanations."""

    options: ExplainOptions
    processes: Sequence[Process] = ()

    GOES_ON: ClassVar[bool] = False


def explain(options: ExplainOptions, console: RunConsole) -> Path:
    """Take the steps of all workloads apart and return the run's folder.

    Raises UsageError for what the user can mend, RunError where no backend works or the run's folder cannot be written
    any more. Ctrl-C ends it early; what was measured until then is kept.
    """
    begun = ExplainingRun(options=options, console=console, began=time.monotonic())
    return carry_out(begun, PREPARING, lambda run: [partial(take_apart, process=process) for process in run.processes])


def prepare_workloads(run: ExplainingRun) -> ExplainingRun:
    """Describe the workloads and draw the weights."""
    return replace(run, prepared=prepare(run.options, run.folder))


def plan_processes(run: ExplainingRun) -> ExplainingRun:
    """Find which processes there are."""
    return replace(run, processes=processes(run, run.options.seeds))


def processes(run: Run, seeds: Sequence[int]) -> list[Process]:
    """The processes there are: backends take turns within each seed, beginning with another each time."""
    options, found = run.options, []
    for workload in run.prepared.workloads:
        for device in devices_of(options, run.gpus):
            for number, seed in enumerate(seeds):
                turn = number % len(options.training)
                for backend in (*options.training[turn:], *options.training[:turn]):
                    blind = run.limits.without_gpu.get(backend) if device == "gpu" else None
                    skip = run.limits.refused.get((backend, workload.workload)) or blind
                    if skip is None:
                        found.append(Process(workload.workload, backend, device, seed))
                    elif not number:
                        run.console.say(f"{stem(workload.workload)}: {backend} {device} is left out: {skip}")
    return found


def explain_besides(run: MeasuringRun) -> MeasuringRun:
    """Take the steps of a run's workloads apart once its launches are over; a run that goes on keeps what there is."""
    if not run.options.explain:
        return run
    for process in processes(run, run.options.seeds[:LAUNCHES]):
        if not _is_measured(_output(run, process)):
            run = take_apart(run, process)
            run.write("running")
    return run


def _is_measured(output: Path) -> bool:
    try:
        return "error" not in json.loads(output.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def describe_run(run: ExplainingRun) -> ExplainingRun:
    """Find what run.json says."""
    return replace(run, description=described(run, []))


def take_apart(run: AnyRun, process: Process) -> AnyRun:
    """Let one process measure, into `<run>/explain/`; one that fails leaves its reason there."""
    prepared, python = run.prepared, run.prepared.pythons[process.backend]
    number, name = _named(run, process)
    output = _output(run, process)
    output.parent.mkdir(exist_ok=True)
    title = f"explain: {stem(process.workload)} {process.backend} {process.device}, seed {process.seed}"
    if python is None:
        _failed(output, process, prepared.missing_reason(process.backend))
        return run
    step_seconds = prepared.workloads[number].step_seconds or 0.0
    words = {**process._asdict(), "numerics": "float32", "step-seconds": step_seconds, "output": output}
    words["weights"] = (prepared.folder / "weights" / f"{name}.npz").resolve()
    if process.seed == run.options.seeds[0]:  # one trace of a backend is as good as many
        words["trace"] = output.with_name(output.stem + TRACES)
    options = [f"--{key}={value}" for key, value in words.items()]
    command = [str(python), "-m", "bench.worker.programs.explain", *options]
    with run.console.showing(title):
        log = run.folder / "logs" / f"{output.stem}.log"
        outcome = launch(command, log=log, limit_seconds=LIMIT_SECONDS + STEP_FACTOR * step_seconds)
    if outcome.status == "ok":
        run.console.say(f"{title}: {duration(outcome.wall_seconds)}")
    else:
        run.console.say(f"{title}: {outcome.reason}")
        _failed(output, process, outcome.reason)
    return run.describing(explain_seconds=(run.description.explain_seconds or 0.0) + outcome.wall_seconds)


def _named(run: Run, process: Process) -> tuple[int, str]:
    """The number of a process's workload, and how files about it and its seed begin."""
    number = [one.workload for one in run.prepared.workloads].index(process.workload)
    return number, f"{number}-{stem(process.workload)}-seed{process.seed}"


def _output(run: Run, process: Process) -> Path:
    return (run.folder / "explain" / f"{_named(run, process)[1]}-{process.backend}-{process.device}.json").resolve()


def _failed(output: Path, process: Process, reason: str) -> None:
    output.write_text(json.dumps({**process._asdict(), "error": reason}), encoding="utf-8")


PREPARING: Sequence[Step[ExplainingRun]] = (  # then one step a process, and run.json is written after each
    check_machine,
    make_folder,
    open_log,
    prepare_workloads,
    find_limits,
    plan_processes,
    describe_run,
    tell_remarks,
)
