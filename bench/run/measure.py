"""One run: prepare, plan, launch after launch, each leaving its record; what comes after reads only its folder."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.case import Case
from bench.contract.errors import RunError
from bench.launch.interruption import interruptible, under_way
from bench.plan.cases import plan
from bench.plan.options import RunOptions
from bench.plan.parity import plan_ladders
from bench.plan.planned import Limits, PlannedCase, numerics_of
from bench.plan.schedule import schedule
from bench.run import ceiling
from bench.run.console import Progress, RunConsole, duration
from bench.run.continued import continued
from bench.run.devices import limits_here, measured_gpus
from bench.run.folder import LOG, clear_partial, clock_warning, describe, known_seconds, new_run, remove, write_state
from bench.run.ladders import SHORT_STEPS, SHORT_TEST_SAMPLES, announce, climb
from bench.run.launches import Measuring
from bench.run.precision import order_launches
from bench.run.prepare import Prepared, prepare, remarks
from bench.run.tuning import tune

if TYPE_CHECKING:
    pass
HELD_OUT = 0.1  # of the training samples, for the time to the target


def run(
    options: RunOptions,
    console: RunConsole,
    now: Callable[[], float] = time.monotonic,
    extend: Callable[[list[PlannedCase], Prepared], list[PlannedCase]] = lambda cases, _prepared: cases,
) -> Path | None:
    """Measure what the options ask for and return the run's folder, or None after a dry run.

    With `options.resume`, go on with that run: what it has measured is kept, the rest is measured. `extend` adds cases
    to the plan; `now` is a clock in seconds.
    Raises UsageError for what the user can mend, another run under way among it, RunError where no backend works or the
    run's folder cannot be written any more. Ctrl-C, SIGTERM and a terminal's hang-up end the run early: its state
    is then `interrupted`, and what was measured is kept.
    """
    began = now()
    with interruptible() if options.dry_run else under_way(console.say):
        gpus = measured_gpus(options, shared=options.dry_run)
        is_new = not options.output.exists()
        folder = options.resume or (Path(tempfile.mkdtemp()) if options.dry_run else new_run(options.output))
        try:
            (folder / "logs").mkdir(exist_ok=True)
            console.log_to(folder / LOG)
            clear_partial(folder)
            ahead = "" if options.resume or options.dry_run else clock_warning(folder)
            if ahead:
                console.say(ahead)
            prepared = (
                _prepare_anew(options, folder) if options.resume else prepare(options, folder, draw=not options.dry_run)
            )
            limits = limits_here(gpus, prepared.pythons)
            prepared = replace(prepared, held_out=HELD_OUT if options.to_target else 0.0)
            cases = extend(plan(options, prepared.workloads, gpus, limits), prepared)
            planned = [one.to_json() for one in cases]
            description = describe(options, prepared, launches=options.launches, plan=planned)
            if options.resume:
                description = continued(folder, description)
            known = known_seconds(options.output)
            for remark in remarks(options, prepared):
                console.say(remark)
            _announce(console, cases, known, options)
        except BaseException:  # Ctrl-C too: nothing has been measured yet, so nothing is left behind
            if not options.resume:
                remove(folder, options.output if is_new else None)
            raise
        if options.dry_run:
            remove(folder, None)
            return None
        _measure(options, prepared, cases, limits, description, known, console, began, now)
        return folder


def _prepare_anew(options: RunOptions, folder: Path) -> Prepared:
    """For a run that goes on: as when it began, but its own weights stay what they are."""
    with tempfile.TemporaryDirectory() as name:
        for part in ("logs", "weights"):
            (Path(name) / part).mkdir()
        return replace(prepare(options, Path(name)), folder=folder)


def _measure(
    options: RunOptions,
    prepared: Prepared,
    cases: Sequence[PlannedCase],
    limits: Limits,
    description: dict[str, Any],
    known: dict[Case, float],
    console: RunConsole,
    began: float,
    now: Callable[[], float],
) -> None:
    """Parity, ceilings, knobs, the launches, those that an ordered precision takes; run.json says how far it is."""
    folder = prepared.folder
    spent = description.pop("wall_seconds", 0.0)
    until = None if options.budget_seconds is None else began + options.budget_seconds - spent

    def write(state: str) -> None:
        write_state(folder, description, state, wall_seconds=spent + now() - began)

    write("running")
    state = "interrupted"
    try:
        if options.parity and len(options.training) > 1 and "parity" not in description:
            description["parity"] = _prove(options, prepared, cases, limits, console)
            write("running")
            announce(folder, console)
        if "ceilings" not in description:
            description["ceilings"] = ceiling.measure(prepared, cases, console)
        began_tuning = now()
        prepared = replace(prepared, knobs=tune(prepared, cases, options.output, console))
        description["tuning_seconds"] = description.get("tuning_seconds", 0.0) + now() - began_tuning
        write("running")
        with Progress(console) as progress:
            measuring = Measuring(prepared, cases, known, progress, now)
            cases = measuring.all(cases, schedule(cases, options.seed), until)
            if options.ordered and min(planned.launches for planned in cases) < options.launches:
                words = f"the budget ended within the pilot of {options.launches} repetitions"
                description["ordered"] = {"within": options.within, "reached": None, "words": words}
                console.say(words)
            elif options.ordered:
                if "ordered" not in description:
                    left = None if until is None else max(0.0, until - now())
                    description["ordered"] = order_launches(options, prepared, cases, description, left, console)
                    write("running")
                counts = [planned["launches"] for planned in description["plan"]]
                ordered = [replace(planned, launches=count) for planned, count in zip(cases, counts, strict=True)]
                cases = measuring.all(ordered, schedule(ordered, options.seed, begun=options.launches), until)
                if cases != ordered:
                    description["ordered"]["reached"] = None
                    description["ordered"]["words"] += "; but the budget ended before all of these launches"
                    console.say("the budget ended before all of these launches")
        description["plan"] = [planned.to_json() for planned in cases]
        state = "finished"
    except KeyboardInterrupt:
        write(state)
        console.say("interrupted: what was measured is kept")
        return
    except OSError as error:
        with contextlib.suppress(OSError):  # else its state stays `running`, and nothing runs it any more
            write(state)
        raise RunError(
            f"{folder}: cannot be written any more ({error.strerror or error}); what was measured is kept; mend it "
            f"and go on with --resume {folder.name}"
        ) from None
    except BaseException:
        write(state)
        raise
    write(state)


def _prove(
    options: RunOptions, prepared: Prepared, cases: Sequence[PlannedCase], limits: Limits, console: RunConsole
) -> dict[str, Any]:
    """Climb a short ladder, in each numerics, before anything is measured: a fast wrong result is none."""
    devices = dict.fromkeys(planned.case.device for planned in cases)
    numerics = {device: ("float64", "float32", *numerics_of(options, device)) for device in devices}
    ladders = plan_ladders(options, options.tracks or (), numerics, limits)
    seeds, climbed = options.seeds[:1], list[dict[str, Any]]()
    climb(prepared, ladders, seeds, SHORT_STEPS, SHORT_TEST_SAMPLES, console, climbed)
    return {"steps": SHORT_STEPS, "seeds": seeds, "test_samples": SHORT_TEST_SAMPLES, "ladders": climbed}


def _announce(
    console: RunConsole, cases: Sequence[PlannedCase], known: Mapping[Case, float], options: RunOptions
) -> None:
    guesses = {planned.case: planned.expected_seconds for planned in cases}
    for planned in cases:
        case = planned.case
        calls, training = f"{case.samples // case.batch_size} calls", f"{case.samples} samples, {case.epochs} epochs"
        size = calls if case.task == "predict" else training
        basis = "took" if case in known else "guessed:"
        note = planned.skip or f"a launch {basis} about {duration(known.get(case, guesses[case]))}"
        console.say(f"{case.title}: {size}; {note}")
    launches = schedule(cases, options.seed)
    total = sum(known.get(item.case, guesses[item.case]) for item in launches)
    said = f"{len(launches)} launches ({options.launches} of each case), about {duration(total)} expected"
    if options.ordered:
        said = f"a pilot of {said}; it decides how many follow"
    console.say(said)
    if options.budget_seconds is not None and total > options.budget_seconds:
        budget = f"the pilot alone takes longer than the budget of {duration(options.budget_seconds)}"
        console.say(f"{budget}, which ends it early")
