"""One run: prepare, plan, launch after launch, each leaving its record; what comes after reads only its folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from bench import environments, machine, record
from bench.launch import Outcome, launch
from bench.options import RunOptions
from bench.plan import PlannedCase, PlannedLaunch, check_devices, plan, schedule
from bench.prepare import Prepared, prepare, without_gpu
from bench.progress import Progress, duration
from bench.runs import known_seconds, new_run

LIMIT_SECONDS = 300.0  # no launch is ended before
LIMIT_FACTOR = 10.0  # nor before this many times what the case took last
GUESS_FACTOR = 30.0  # nor, where it has not run yet, before this many times what the reference backend's speed suggests
GIVE_UP_AFTER = 2  # failures of one case in a row: the rest of its launches would most likely only cost time


def run(options: RunOptions, console: Console) -> Path | None:
    """Measure what the options ask for and return the run's folder, or None after a dry run.

    Raises UsageError for what the user can mend, RunError where no backend works. Ctrl-C ends the run early, as SIGTERM
    and a terminal's hang-up do: its state is then `interrupted`, and what was measured is kept.
    """
    began = time.monotonic()
    gpus = machine.gpu_names()
    check_devices(options.devices or (), gpus)
    with _interruptible():
        is_new = not options.output.exists()
        folder = Path(tempfile.mkdtemp()) if options.dry_run else new_run(options.output)
        try:
            (folder / "logs").mkdir(exist_ok=True)
            prepared = prepare(options, folder)
            cases = plan(options, prepared.workloads, gpus, without_gpu(prepared.pythons) if gpus else None)
            launches = schedule(cases, options.launches, options.seed)
            known = known_seconds(options.output)
            _announce(console, cases, launches, known, options)
        except BaseException:  # Ctrl-C too: nothing has been measured yet, so nothing is left behind
            _remove(folder, options.output if is_new else None)
            raise
        if options.dry_run:
            _remove(folder, None)
            return None
        _measure(options, prepared, cases, launches, known, console, began)
        return folder


def _measure(
    options: RunOptions,
    prepared: Prepared,
    cases: Sequence[PlannedCase],
    launches: Sequence[PlannedLaunch],
    known: dict[record.Case, float],
    console: Console,
    began: float,
) -> None:
    """Launch after launch; `known` takes up what each took, for the time left and the next one's limit."""
    folder = prepared.folder
    description = _describe(options, prepared, cases)
    record.write(folder / "run.json", {**description, "state": "running"})
    numbers = {planned.case: number for number, planned in enumerate(cases)}
    guesses = {planned.case: planned.expected_seconds for planned in cases}
    failures = dict.fromkeys(numbers, 0)
    state = "interrupted"
    try:
        with Progress(console, len(launches)) as progress:
            for index, planned in enumerate(launches):
                case = planned.case
                progress.begin(planned, sum(known.get(later.case, guesses[later.case]) for later in launches[index:]))
                name = f"r{planned.repetition:03}-c{numbers[case]:02}-{case.title.replace(' ', '-')}"
                longest = LIMIT_FACTOR * known[case] if case in known else GUESS_FACTOR * guesses[case]
                if failures[case] < GIVE_UP_AFTER:
                    outcome = _launch(prepared, planned, name, max(LIMIT_SECONDS, longest), progress)
                else:
                    outcome = Outcome("skipped", f"given up after {GIVE_UP_AFTER} failures in a row", 0.0)
                    _write_empty(folder / "launches" / f"{name}.json", planned, outcome, [])
                progress.end(outcome)
                if outcome.status == "ok":
                    known[case] = outcome.wall_seconds
                failures[case] = 0 if outcome.status == "ok" else failures[case] + 1
        state = "finished"
    except KeyboardInterrupt:
        console.print("interrupted: what was measured is kept", highlight=False)
    finally:
        ended = {"state": state, "wall_seconds": time.monotonic() - began}
        record.write(folder / "run.json", {**description, **ended})


def _launch(prepared: Prepared, planned: PlannedLaunch, name: str, limit_seconds: float, progress: Progress) -> Outcome:
    """Run one launch and write its record, whatever happens but an interruption, which leaves none."""
    final = prepared.folder / "launches" / f"{name}.json"
    python = prepared.pythons[planned.case.backend]
    if python is None:
        outcome = Outcome("failed", environments.missing_reason(planned.case.backend), 0.0)
        _write_empty(final, planned, outcome, [])
        return outcome
    command = prepared.command(python, planned)
    shown = [word.replace(f"{environments.ROOT}{os.sep}", "") for word in command]  # as one would type it there
    left = final.with_name(f".{name}.worker")
    try:
        outcome = launch(
            [*command, f"--benchmark-json={left.resolve()}"],
            log=prepared.folder / "logs" / f"{name}.log",
            limit_seconds=limit_seconds,
            on_message=progress.message,
        )
        content, outcome = _collect(left, planned, outcome)
    finally:
        left.unlink(missing_ok=True)
    if content is None:
        _write_empty(final, planned, outcome, shown)
    else:
        added = {"repetition": planned.repetition, "command": shown, "wall_seconds": outcome.wall_seconds}
        record.write(final, {**content, "launch": {**content["launch"], **added}})
    return outcome


def _collect(path: Path, planned: PlannedLaunch, outcome: Outcome) -> tuple[dict[str, Any] | None, Outcome]:
    """The record a worker left, or None and the outcome that says what is wrong with it."""
    if outcome.status != "ok":
        return None, outcome
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # The worker does not know which repetition it is.
        whole = {**content, "launch": {**content["launch"], "repetition": planned.repetition}}
        record.check(whole, "the worker's record")
    except (OSError, ValueError, TypeError, KeyError, record.RecordError) as error:
        reason = f"the worker ended well but left no usable record ({error})"
        return None, Outcome("failed", reason, outcome.wall_seconds)
    return whole, outcome


def _write_empty(path: Path, planned: PlannedLaunch, outcome: Outcome, command: Sequence[str]) -> None:
    content = record.empty(
        planned.case,
        repetition=planned.repetition,
        seed=planned.seed,
        status=outcome.status,
        reason=outcome.reason,
    )
    content["launch"] |= {"command": list(command), "wall_seconds": outcome.wall_seconds}
    record.write(path, content)


def _describe(options: RunOptions, prepared: Prepared, cases: Sequence[PlannedCase]) -> dict[str, Any]:
    """What run.json says, but for the state."""
    python = {backend: str(path) for backend, path in options.python.items()}
    return {
        "schema": record.SCHEMA,
        "id": prepared.folder.name,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {**asdict(options), "python": python, "output": str(options.output)},
        "reference": options.reference,
        "launches": options.launches,
        "prepared_by": prepared.backend,
        "workloads": list(prepared.workloads),
        "plan": [planned.to_json() for planned in cases],
        "machine": machine.fingerprint(),
    }


def _announce(
    console: Console,
    cases: Sequence[PlannedCase],
    launches: Sequence[PlannedLaunch],
    known: Mapping[record.Case, float],
    options: RunOptions,
) -> None:
    guesses = {planned.case: planned.expected_seconds for planned in cases}
    for planned in cases:
        case = planned.case
        size = f"{case.samples} samples, {case.epochs} epochs, batch {case.batch_size}"
        basis = "took" if case in known else "guessed:"
        note = planned.skip or f"a launch {basis} about {duration(known.get(case, guesses[case]))}"
        console.print(f"{case.title}: {size}; {note}", markup=False, highlight=False, soft_wrap=True)
    total = sum(known.get(item.case, guesses[item.case]) for item in launches)
    said = f"{len(launches)} launches ({options.launches} of each case), about {duration(total)} expected"
    console.print(said, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM (a batch system) and SIGHUP (a terminal gone) end a run as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _remove(folder: Path, output: Path | None) -> None:
    """Remove a folder that holds nothing measured, and the results folder where it was made for this run."""
    shutil.rmtree(folder, ignore_errors=True)
    if output is not None:
        with contextlib.suppress(OSError):
            output.rmdir()
