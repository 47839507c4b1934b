"""One run: prepare, plan, launch after launch, each leaving its record; what comes after reads only its folder."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import environments, machine, record
from bench.launch import Outcome, launch
from bench.options import RunOptions
from bench.parity import SHORT_STEPS, SHORT_TEST_SAMPLES, announce, climb, plan_ladders
from bench.plan import PlannedCase, PlannedLaunch, check_devices, plan, schedule
from bench.prepare import Prepared, prepare, without_gpu
from bench.progress import Progress, duration
from bench.runs import describe, interruptible, known_seconds, new_run, remove, write_state

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
    with interruptible():
        is_new = not options.output.exists()
        folder = Path(tempfile.mkdtemp()) if options.dry_run else new_run(options.output)
        try:
            (folder / "logs").mkdir(exist_ok=True)
            prepared = prepare(options, folder, draw=not options.dry_run)
            cases = plan(options, prepared.workloads, gpus, without_gpu(prepared.pythons) if gpus else None)
            launches = schedule(cases, options.launches, options.seed)
            known = known_seconds(options.output)
            _announce(console, cases, launches, known, options)
        except BaseException:  # Ctrl-C too: nothing has been measured yet, so nothing is left behind
            remove(folder, options.output if is_new else None)
            raise
        if options.dry_run:
            remove(folder, None)
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
    planned_cases = [planned.to_json() for planned in cases]
    description = describe(options, prepared, launches=options.launches, plan=planned_cases)
    write_state(folder, description, "running")
    numbers = {planned.case: number for number, planned in enumerate(cases)}
    guesses = {planned.case: planned.expected_seconds for planned in cases}
    failures = dict.fromkeys(numbers, 0)
    state = "interrupted"
    try:
        if options.parity and len(options.backends) > 1:
            description["parity"] = _prove(options, prepared, cases, console)
            write_state(folder, description, "running")
            announce(folder, console)
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
        write_state(folder, description, state, wall_seconds=time.monotonic() - began)


def _prove(options: RunOptions, prepared: Prepared, cases: Sequence[PlannedCase], console: Console) -> dict[str, Any]:
    """Climb a short ladder, in exact mode and in float32, before anything is measured: a fast wrong result is none."""
    devices = tuple(dict.fromkeys(planned.case.device for planned in cases))
    blind = {planned.case.backend: planned.skip for planned in cases if planned.skip}
    ladders = plan_ladders(options, devices, ("float64", "float32"), blind)
    seeds, climbed = options.seeds[:1], list[dict[str, Any]]()
    climb(prepared, ladders, seeds, SHORT_STEPS, SHORT_TEST_SAMPLES, console, climbed)
    return {"steps": SHORT_STEPS, "seeds": seeds, "test_samples": SHORT_TEST_SAMPLES, "ladders": climbed}


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
