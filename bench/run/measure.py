"""One run: its steps, from the machine that is looked at to the last launch; what comes after reads only its folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.contract.case import FIRST_LOOK, Case
from bench.contract.run_json import ParityRun
from bench.launch.interruption import interruptible, under_way
from bench.places.fleet import Fleet
from bench.plan.cases import plan
from bench.plan.options import RunOptions
from bench.plan.parity import plan_ladders
from bench.plan.places import LOCAL
from bench.plan.planned import PlannedCase, PlannedLaunch, numerics_of
from bench.plan.schedule import schedule
from bench.run import ceiling
from bench.run.console import Progress, RunConsole, duration
from bench.run.continued import continued
from bench.run.decided import launch_until_decided
from bench.run.devices import frameworks
from bench.run.explain import explain_besides
from bench.run.folder import known_seconds
from bench.run.ladders import SHORT, announce, climb_all
from bench.run.launches import Measuring
from bench.run.places import check_here, find_nodes, ladder_limits, memory_here, places_of
from bench.run.precision import is_whole_pilot, order_precision, ordered_cases
from bench.run.prepare import prepare
from bench.run.tuning import tune
from bench.run.workflow import (
    MeasuringRun,
    Step,
    as_described,
    described,
    discard,
    find_limits,
    make_folder,
    measure_run,
    open_log,
    prepare_run,
    tell_remarks,
)

HELD_OUT = 0.1  # of the training samples, for the time to the target


def run(
    options: RunOptions,
    console: RunConsole,
    now: Callable[[], float] = time.monotonic,
    preparing: Sequence[Step[MeasuringRun]] | None = None,
) -> Path | None:
    """Measure what the options ask for and return the run's folder, or None after a dry run.

    With `options.resume`, go on with that run: what it has measured is kept, the rest is measured. `preparing` are the
    steps before anything is measured, by default PREPARING; `now` is a clock in seconds.
    Raises UsageError for what the user can mend, another run under way among it, RunError where no backend works or the
    run's folder cannot be written any more. Ctrl-C, SIGTERM and a terminal's hang-up end the run early: its state
    is then `interrupted`, and what was measured is kept.
    """
    where = options.where
    fleet = None if where.kind == LOCAL else Fleet(where.kind, where.address, console.say)
    begun = MeasuringRun(
        options=options,
        console=console,
        now=now,
        began=now(),
        dry=options.dry_run,
        continued=options.resume,
        progress=Progress(console, left="about" if options.until is None else "at most about"),
        fleet=fleet,
    )
    # A machine is its run's alone; where launches happen elsewhere, each node is.
    with interruptible() if options.dry_run or fleet else under_way(console.say), fleet or nullcontext():
        planned = prepare_run(begun, PREPARING if preparing is None else preparing)
        if options.dry_run:
            discard(planned)
            return None
        return measure_run(planned, MEASURING).folder


def prepare_workloads(run: MeasuringRun) -> MeasuringRun:
    """Describe the workloads and draw the weights; a run that goes on keeps its own weights."""
    if run.continued is None:
        prepared = prepare(run.options, run.folder, not run.dry, memory_here(run))
    else:
        with tempfile.TemporaryDirectory() as name:
            for part in ("logs", "weights"):
                (Path(name) / part).mkdir()
            prepared = replace(prepare(run.options, Path(name), memory_mib=memory_here(run)), folder=run.folder)
    return replace(run, prepared=replace(prepared, held_out=HELD_OUT if run.options.to_target else 0.0))


def plan_cases(run: MeasuringRun) -> MeasuringRun:
    """Make the plan of what the options ask for."""
    limits = replace(run.limits, frameworks=frameworks(run.prepared.pythons, run.options.inputs))
    return replace(run, limits=limits, cases=plan(run.options, run.prepared.workloads, run.gpus, limits))


def describe_run(run: MeasuringRun) -> MeasuringRun:
    """Find what run.json says; of a run that goes on what it said, where it is still the same measurement."""
    description = described(run, run.cases)
    if run.continued is not None:
        description = continued(run.continued, description)
    if run.fleet is not None:
        description = msgspec.structs.replace(description, nodes=run.nodes)
    return replace(run, description=description, spent=description.wall_seconds or 0.0)


def look_up_seconds(run: MeasuringRun) -> MeasuringRun:
    """Find what launches took in earlier runs, here or on nodes such as these."""
    return replace(run, known=known_seconds(run.options.output, [machine.kind for machine in run.nodes.values()]))


def announce_cases(run: MeasuringRun) -> MeasuringRun:
    """Say what is going to be measured, and how long that takes."""
    say, options = run.console.say, run.options
    for planned in run.cases:
        say(_announced(planned, run.known))
    guesses = {planned.case: planned.expected_seconds for planned in run.cases}
    launches = schedule(run.cases, options.seed)
    total = sum(run.known.get(item.case, guesses[item.case]) for item in launches)
    said = f"{len(launches)} launches ({options.launches} of each case), about {duration(total)} expected"
    if options.until is not None:
        least = f"from {FIRST_LOOK} launches of each case, about {duration(total * FIRST_LOOK / options.launches)}"
        say(f"{least}, to {options.launches}, about {duration(total)}, until its verdicts are sure")
    else:
        say(f"a pilot of {said}; it decides how many follow" if options.ordered else said)
    if options.budget_seconds is not None and total > options.budget_seconds:
        budget = f"the pilot alone takes longer than the budget of {duration(options.budget_seconds)}"
        say(f"{budget}, which ends it early")
    return run


def prove_parity(run: MeasuringRun) -> MeasuringRun:
    """Climb a short ladder, in each numerics, before anything is measured: a fast wrong result is none."""
    options = run.options
    compared = len(options.training) > 1 or len(options.variants) > 1 or options.device_counts != (1,)
    if not options.parity or not compared or run.description.parity is not None:
        return run
    devices = dict.fromkeys(planned.case.device for planned in run.cases)
    numerics = {device: ("float64", "float32", *numerics_of(options, device)) for device in devices}
    ladders = plan_ladders(options, options.tracks or (), numerics, ladder_limits(run))
    amount = SHORT._replace(seeds=options.seeds[:1])
    climbed = tuple(climb_all(run.prepared, ladders, amount, run.console))
    proved = run.describing(parity=ParityRun(**amount._asdict(), ladders=climbed))
    proved.write("running")  # which the comparison reads
    announce(run.folder, run.console)
    return proved


def measure_ceilings(run: MeasuringRun) -> MeasuringRun:
    """Measure what the machine can do at best."""
    if run.description.ceilings is not None or run.fleet is not None:  # they would be those of this machine
        return run
    return run.describing(ceilings=ceiling.measure(run.prepared, run.cases, run.console))


def measure_ceilings_again(run: MeasuringRun) -> MeasuringRun:
    """Measure it once more after the launches: a machine that was slow when the run began is not its best."""
    if run.options.profile == "quick" or not run.description.ceilings:
        return run
    return run.describing(
        ceilings=ceiling.measure(run.prepared, run.cases, run.console, known=run.description.ceilings)
    )


def search_knobs(run: MeasuringRun) -> MeasuringRun:
    """Search for the knobs of the tracks that have some."""
    began = run.now()
    knobs = tune(run.prepared, run.cases, run.options.output, run.console)
    seconds = (run.description.tuning_seconds or 0.0) + run.now() - began
    return replace(run, prepared=replace(run.prepared, knobs=knobs)).describing(tuning_seconds=seconds)


def launch_planned(run: MeasuringRun) -> MeasuringRun:
    """Launch every case as often as it is planned, which is the pilot where a precision was ordered."""
    measuring = Measuring(run.prepared, run.cases, run.known, run.progress, run.now, places_of(run))
    run = replace(run, measuring=measuring)
    if run.options.until is not None:
        return launch_until_decided(run)
    return replace(run, cases=_launched(run, run.cases, schedule(run.cases, run.options.seed)))


def launch_ordered(run: MeasuringRun) -> MeasuringRun:
    """Launch what the pilot said besides."""
    ordered = run.description.ordered
    if ordered is None or not is_whole_pilot(run):
        return run
    wanted = ordered_cases(run)
    cases = _launched(run, wanted, schedule(wanted, run.options.seed, begun=run.options.launches))
    run = replace(run, cases=cases)
    if cases == wanted:
        return run
    words = "the budget ended before all of these launches"
    run.console.say(words)
    return run.describing(ordered=msgspec.structs.replace(ordered, reached=None, words=f"{ordered.words}; but {words}"))


def note_launches(run: MeasuringRun) -> MeasuringRun:
    """Let the plan say how many launches each case came to."""
    return run.describing(plan=as_described(run.cases))


def _launched(
    run: MeasuringRun, cases: Sequence[PlannedCase], launches: Sequence[PlannedLaunch]
) -> Sequence[PlannedCase]:
    run.progress.expect(len(launches))
    with run.progress:
        return run.measuring.all(cases, launches, run.until)


def _announced(planned: PlannedCase, known: Mapping[Case, float]) -> str:
    case = planned.case
    calls, training = f"{case.samples // case.batch_size} calls", f"{case.samples} samples, {case.epochs} epochs"
    tokens = f"{case.samples} tokens"
    size = {"train": training, "predict": calls, "generate": tokens}[case.task]
    basis = "took" if case in known else "guessed:"
    note = planned.skip or f"a launch {basis} about {duration(known.get(case, planned.expected_seconds))}"
    return f"{case.title}: {size}; {note}"


PREPARING: Sequence[Step[MeasuringRun]] = (  # an error in one of these leaves nothing behind
    check_here,
    make_folder,
    open_log,
    prepare_workloads,
    find_limits,
    find_nodes,
    plan_cases,
    describe_run,
    look_up_seconds,
    tell_remarks,
    announce_cases,
)
MEASURING: Sequence[Step[MeasuringRun]] = (  # run.json is written after each of these
    prove_parity,
    measure_ceilings,
    search_knobs,
    launch_planned,
    order_precision,
    launch_ordered,
    note_launches,
    measure_ceilings_again,
    explain_besides,
)
