"""One run: prepare, plan, launch after launch, each leaving its record; what comes after reads only its folder."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import environments, machine, record
from bench.launch import Outcome, launch
from bench.options import RunOptions, UsageError
from bench.plan import PlannedCase, PlannedLaunch, check_devices, plan, schedule
from bench.progress import Progress, duration

PREPARE_SECONDS = 300.0
LIMIT_SECONDS = 300.0  # no launch is ended before
LIMIT_FACTOR = 10.0  # nor before this many times what it is expected to take
GIVE_UP_AFTER = 2  # failures of one case in a row: the rest of its launches would most likely only cost time
RUNS_LOOKED_AT = 5  # for how long a case took earlier


class RunError(Exception):
    """A run cannot go on; the message says why in one line."""


@dataclass(frozen=True)
class Prepared:
    """What the prepare worker left: which backend it ran on, and the descriptions of the workloads."""

    backend: str
    workloads: list[dict[str, Any]]


def run(options: RunOptions, console: Console) -> Path | None:
    """Measure what the options ask for and return the run's folder, or None after a dry run.

    Raises UsageError for what the user can mend, RunError where no backend works. Ctrl-C ends the run early: its state
    is then `interrupted`, and what was measured is kept.
    """
    began = time.monotonic()
    gpus = machine.gpu_names()
    check_devices(options.devices or (), gpus)
    pythons = {backend: environments.interpreter(backend, options.python) for backend in options.backends}
    folder = _new_folder(options.output)
    try:
        prepared = prepare(options, pythons, folder)
        cases = _with_known_times(plan(options, prepared.workloads, gpus), options.output)
        launches = schedule(cases, options.launches, options.seed)
        _announce(console, cases, launches, options)
        if options.dry_run:
            shutil.rmtree(folder)
            return None
    except BaseException:  # Ctrl-C too: nothing has been measured yet, so nothing is left behind
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _measure(options, pythons, folder, prepared, cases, launches, console, began)


def find_run(name: str, output: Path) -> Path:
    """The folder of a run given by id, by path, or as `latest`."""
    if name == "latest":
        runs = run_folders(output)
        if not runs:
            raise UsageError(f"no run under {output}")
        return runs[-1]
    for folder in (Path(name), output / name):
        if (folder / "run.json").is_file():
            return folder
    known = [folder.name for folder in run_folders(output)]
    raise UsageError(f"no run {name!r}; known under {output}: {', '.join(known[-5:]) or 'none'}")


def run_folders(output: Path) -> list[Path]:
    """The runs of a results folder, oldest first: their names begin with the time."""
    return sorted(path.parent for path in output.glob("*/run.json"))


def _new_folder(output: Path) -> Path:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    folder = output / name
    try:
        for part in ("launches", "logs", "weights"):
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}); name a folder that can") from None
    return folder


def prepare(options: RunOptions, pythons: Mapping[str, Path | None], folder: Path) -> Prepared:
    """Let the first backend that works, the reference before the others, describe the workloads and draw weights."""
    order = [options.reference, *(backend for backend in options.backends if backend != options.reference)]
    failures = []
    for backend in order:
        python = pythons[backend]
        if python is None:
            failures.append(environments.missing_reason(backend))
            continue
        answer = folder / "prepared.json"
        command = [str(python), "-m", "bench.worker.prepare", "--backend", backend]
        command += ["--workloads", ",".join(options.workloads), "--output", str(answer.resolve())]
        command += ["--seeds", ",".join(str(options.seed + repetition) for repetition in range(options.launches))]
        if not options.dry_run:
            command += ["--weights", str((folder / "weights").resolve())]
        outcome = launch(command, log=folder / "logs" / f"prepare-{backend}.log", limit_seconds=PREPARE_SECONDS)
        if outcome.status != "ok":
            failures.append(f"{backend}: {outcome.reason}")
            continue
        content = json.loads(answer.read_text(encoding="utf-8"))
        answer.unlink()
        if "error" in content:
            raise UsageError(content["error"])
        return Prepared(backend, content["workloads"])
    raise RunError("no backend works here: " + "; ".join(failures))


def _with_known_times(cases: Sequence[PlannedCase], output: Path) -> list[PlannedCase]:
    """The cases with the time they took in earlier runs under `output`, where there was one."""
    known: dict[str, float] = {}
    for folder in run_folders(output)[-RUNS_LOOKED_AT:]:
        for path in sorted((folder / "launches").glob("*.json")):
            try:
                found = record.read(path)["launch"]
            except record.RecordError:
                continue  # the report of its own run names it
            if found["status"] == "ok" and isinstance(found.get("wall_seconds"), float):
                known[json.dumps(found["case"])] = found["wall_seconds"]
    return [
        PlannedCase(
            **{
                **vars(planned),
                "expected_seconds": known.get(json.dumps(asdict(planned.case)), planned.expected_seconds),
            }
        )
        for planned in cases
    ]


def _announce(
    console: Console, cases: Sequence[PlannedCase], launches: Sequence[PlannedLaunch], options: RunOptions
) -> None:
    expected = {planned.case: planned.expected_seconds for planned in cases}
    for planned in cases:
        case = planned.case
        size = f"{case.samples} samples, {case.epochs} epochs, batch {case.batch_size}"
        note = planned.skip or f"about {duration(planned.expected_seconds)} a launch"
        console.print(f"{case.title}: {size}; {note}", markup=False, highlight=False)
    total = sum(expected[item.case] for item in launches)
    console.print(
        f"{len(launches)} launches ({options.launches} of each case), about {duration(total)} expected",
        markup=False,
        highlight=False,
    )


def _measure(
    options: RunOptions,
    pythons: Mapping[str, Path | None],
    folder: Path,
    prepared: Prepared,
    cases: Sequence[PlannedCase],
    launches: Sequence[PlannedLaunch],
    console: Console,
    began: float,
) -> Path:
    description: dict[str, Any] = {
        "schema": record.SCHEMA,
        "id": folder.name,
        "state": "running",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": _options_json(options),
        "reference": options.reference,
        "launches": options.launches,
        "prepared_by": prepared.backend,
        "workloads": prepared.workloads,
        "plan": [planned.to_json() for planned in cases],
        "machine": machine.fingerprint(),
    }
    record.write(folder / "run.json", description)
    numbers = {planned.case: number for number, planned in enumerate(cases)}
    expected = {planned.case: planned.expected_seconds for planned in cases}
    failures = dict.fromkeys(numbers, 0)
    # A terminal's hang-up or a batch system's SIGTERM ends a run as Ctrl-C does: what was measured is kept.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Progress(console, len(launches)) as progress:
            for index, planned in enumerate(launches):
                if failures[planned.case] >= GIVE_UP_AFTER:
                    continue
                progress.begin(planned, sum(expected[later.case] for later in launches[index:]))
                name = f"r{planned.repetition:03}-c{numbers[planned.case]:02}-{planned.case.title.replace(' ', '-')}"
                limit = max(LIMIT_SECONDS, LIMIT_FACTOR * expected[planned.case])
                python = pythons[planned.case.backend]
                outcome = _launch_one(python, planned, folder, name, limit, progress, prepared)
                progress.end(outcome)
                failures[planned.case] = 0 if outcome.status == "ok" else failures[planned.case] + 1
                expected[planned.case] = outcome.wall_seconds
        description["state"] = "finished"
    except KeyboardInterrupt:
        description["state"] = "interrupted"
        console.print("interrupted: what was measured is kept", highlight=False)
    finally:
        signal.signal(signal.SIGTERM, previous)
        description["wall_seconds"] = time.monotonic() - began
        record.write(folder / "run.json", description)
    return folder


def _launch_one(
    python: Path | None,
    planned: PlannedLaunch,
    folder: Path,
    name: str,
    limit_seconds: float,
    progress: Progress,
    prepared: Prepared,
) -> Outcome:
    """Run one launch and write its record, whatever happens but an interruption, which leaves none."""
    final = folder / "launches" / f"{name}.json"
    left = folder / "launches" / f".{name}.worker"
    command: list[str] = []
    if python is None:
        outcome = Outcome("failed", environments.missing_reason(planned.case.backend), 0.0)
    else:
        command = worker_command(python, planned, weights_path(folder, prepared, planned))
        try:
            outcome = launch(
                [*command, f"--benchmark-json={left.resolve()}"],
                log=folder / "logs" / f"{name}.log",
                limit_seconds=limit_seconds,
                on_message=progress.message,
            )
            content, outcome = _collect(left, outcome)
        finally:
            left.unlink(missing_ok=True)
    if outcome.status != "ok":
        content = record.empty(
            planned.case,
            repetition=planned.repetition,
            seed=planned.seed,
            status=outcome.status,
            reason=outcome.reason,
        )
    content["launch"] |= {
        "repetition": planned.repetition,
        "command": [_relative(word) for word in command],
        "wall_seconds": outcome.wall_seconds,
    }
    record.write(final, content)
    return outcome


def weights_path(folder: Path, prepared: Prepared, planned: PlannedLaunch) -> Path:
    """Where the prepare worker put the initial weights of a launch."""
    workloads = [description["workload"] for description in prepared.workloads]
    number = workloads.index(planned.case.workload)
    return folder / "weights" / f"{number}-{Path(planned.case.workload).stem}-seed{planned.seed}.npz"


def worker_command(python: Path, planned: PlannedLaunch, weights: Path) -> list[str]:
    """The command that runs one launch: a pytest node with the case as its options."""
    script = f"bench/worker/bench_{planned.case.task}.py"
    command = [str(python), "-m", "pytest", "-c", "bench/worker/pytest.ini", script]
    return [*command, *planned.case.options(), f"--seed={planned.seed}", f"--weights={weights.resolve()}"]


def _collect(path: Path, outcome: Outcome) -> tuple[dict[str, Any], Outcome]:
    """The record a worker left, or the outcome that says what is wrong with it."""
    if outcome.status != "ok":
        return {}, outcome
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["launch"]["repetition"] = 0  # the worker does not know it
        record.check(content, "the worker's record")
    except (OSError, ValueError, TypeError, KeyError, record.RecordError) as error:
        return {}, Outcome("failed", f"the worker ended well but left no usable record ({error})", outcome.wall_seconds)
    return content, outcome


def _relative(word: str) -> str:
    """A word of a command with paths below the project's folder shortened, as one would type it there."""
    prefix = f"{environments.ROOT}{os.sep}"
    return word.replace(prefix, "")


def _options_json(options: RunOptions) -> dict[str, Any]:
    python = {backend: str(path) for backend, path in options.python.items()}
    return {**asdict(options), "python": python, "output": str(options.output)}
