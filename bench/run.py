"""One run: prepare, plan, launch after launch, each leaving its record; what comes after reads only its folder."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench import environments, machine, record
from bench.disturbance import launch_disturbed
from bench.launch import Outcome, launch
from bench.options import MOST_LAUNCHES, RunOptions
from bench.parity import SHORT_STEPS, SHORT_TEST_SAMPLES, announce, climb, plan_ladders
from bench.plan import PlannedCase, PlannedLaunch, check_devices, plan, schedule
from bench.prepare import Prepared, prepare, without_gpu
from bench.progress import Progress, duration
from bench.runs import continued, describe, interruptible, known_seconds, new_run, remove, write_state

if TYPE_CHECKING:
    from bench.analysis.precision import Order

LIMIT_SECONDS = 300.0  # no launch is ended before
LIMIT_FACTOR = 10.0  # nor before this many times what the case took last
GUESS_FACTOR = 30.0  # nor, where it has not run yet, before this many times what the reference backend's speed suggests
GIVE_UP_AFTER = 2  # failures of one case in a row: the rest of its launches would most likely only cost time
LEAST = 2  # repetitions that are measured whatever the budget: one gives no interval
ROUNDING = 1.001


def run(
    options: RunOptions,
    console: Console,
    now: Callable[[], float] = time.monotonic,
    extend: Callable[[list[PlannedCase]], list[PlannedCase]] = list,
) -> Path | None:
    """Measure what the options ask for and return the run's folder, or None after a dry run.

    With `options.resume`, go on with that run: what it has measured is kept, the rest is measured. `extend` adds cases
    to the plan; `now` is a clock in seconds.
    Raises UsageError for what the user can mend, RunError where no backend works. Ctrl-C ends the run early, as SIGTERM
    and a terminal's hang-up do: its state is then `interrupted`, and what was measured is kept.
    """
    began = now()
    gpus = machine.gpu_names()
    check_devices(options.devices or (), gpus)
    with interruptible():
        is_new = not options.output.exists()
        folder = options.resume or (Path(tempfile.mkdtemp()) if options.dry_run else new_run(options.output))
        try:
            (folder / "logs").mkdir(exist_ok=True)
            prepared = prepare(options, folder, draw=not options.dry_run)
            cases = extend(plan(options, prepared.workloads, gpus, without_gpu(prepared.pythons) if gpus else None))
            planned = [one.to_json() for one in cases]
            description = describe(options, prepared, launches=options.launches, plan=planned)
            if options.resume:
                description = continued(folder, description)
            known = known_seconds(options.output)
            _announce(console, cases, known, options)
        except BaseException:  # Ctrl-C too: nothing has been measured yet, so nothing is left behind
            if not options.resume:
                remove(folder, options.output if is_new else None)
            raise
        if options.dry_run:
            remove(folder, None)
            return None
        _measure(options, prepared, cases, description, known, console, began, now)
        return folder


def _measure(
    options: RunOptions,
    prepared: Prepared,
    cases: Sequence[PlannedCase],
    description: dict[str, Any],
    known: dict[record.Case, float],
    console: Console,
    began: float,
    now: Callable[[], float],
) -> None:
    """Parity, then the launches, then those that an ordered precision takes; run.json always says how far it is."""
    folder = prepared.folder
    spent = description.pop("wall_seconds", 0.0)
    write_state(folder, description, "running")
    state = "interrupted"
    until = None if options.budget_seconds is None else began + options.budget_seconds
    try:
        if options.parity and len(options.backends) > 1 and "parity" not in description:
            description["parity"] = _prove(options, prepared, cases, console)
            write_state(folder, description, "running")
            announce(folder, console)
        with Progress(console) as progress:
            measuring = _Measuring(prepared, cases, known, progress, now)
            cases = measuring.all(cases, schedule(cases, options.seed), until)
            if options.ordered and min(planned.launches for planned in cases) < options.launches:
                words = f"the budget ended within the pilot of {options.launches} repetitions"
                description["ordered"] = {"within": options.within, "reached": None, "words": words}
                console.print(words, markup=False, highlight=False, soft_wrap=True)
            elif options.ordered:
                if "ordered" not in description:
                    left = None if until is None else max(0.0, until - now())
                    description["ordered"] = _order(options, prepared, cases, description, left, console)
                    write_state(folder, description, "running")
                counts = [planned["launches"] for planned in description["plan"]]
                cases = [replace(planned, launches=count) for planned, count in zip(cases, counts, strict=True)]
                cases = measuring.all(cases, schedule(cases, options.seed, begun=options.launches), until)
        description["plan"] = [planned.to_json() for planned in cases]
        state = "finished"
    except KeyboardInterrupt:
        console.print("interrupted: what was measured is kept", highlight=False)
    finally:
        write_state(folder, description, state, wall_seconds=spent + now() - began)


def _order(
    options: RunOptions,
    prepared: Prepared,
    cases: Sequence[PlannedCase],
    description: dict[str, Any],
    left: float | None,
    console: Console,
) -> dict[str, Any]:
    """From the pilot's spread, how many launches the ordered precision takes: into the plan, said, and as run.json."""
    from bench.analysis import frames, precision  # pandas and scipy: only between launches

    order = precision.order(frames.load(prepared.folder), options.launches, MOST_LAUNCHES, options.within, left)
    cases = [replace(planned, launches=order.launches.get(planned.case.key, planned.launches)) for planned in cases]
    most = max((planned.launches for planned in cases), default=0)
    if most > options.launches:
        extra = replace(options, seed=options.seed + options.launches, launches=most - options.launches)
        drawn = prepare(extra, prepared.folder).workloads
        for workload, more in zip(description["workloads"], drawn, strict=True):
            workload["weights"] = {**workload.get("weights", {}), **more.get("weights", {})}
    description["plan"] = [planned.to_json() for planned in cases]
    words = _ordered_words(order, options.within, left)
    for said in (*(f"{planned.case.title}: {planned.launches} launches" for planned in cases), words):
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    return {"within": options.within, "reached": order.within, "words": words}


def _ordered_words(order: Order, within: float | None, left: float | None) -> str:
    """What the pilot says of the precision that was ordered, in one sentence."""
    reach = f"every ratio within ±{order.within:.1%}, about {duration(order.seconds)} more"
    if within is None:
        return f"as precise as the budget allows: {reach}"
    if order.within <= within * ROUNDING:
        return f"the pilot says: {reach}"
    if math.isinf(order.wanted_seconds):
        return f"±{within:.1%} would take more than {MOST_LAUNCHES:,} launches of a case; instead {reach}"
    wanted = f"±{within:.1%} would take {duration(order.wanted_seconds)} more"
    return f"{wanted}, and the budget leaves {duration(left or 0.0)}; instead {reach}"


@dataclass
class _Measuring:
    """Executes launches one after the other; each leaves its record, whatever happens but an interruption.

    `known` takes up what each took, for the time left and the next one's limit.
    """

    prepared: Prepared
    cases: Sequence[PlannedCase]
    known: dict[record.Case, float]
    progress: Progress
    now: Callable[[], float]
    failures: dict[record.Case, int] = field(default_factory=dict)

    def all(
        self, cases: Sequence[PlannedCase], launches: Sequence[PlannedLaunch], until: float | None
    ) -> list[PlannedCase]:
        """Launch all, then those that were disturbed once more; returns the cases with the launches they came to.

        A repetition that would begin after `until` is left out, unless there are not two yet. Once two new launches of
        a case in a row are disturbed as well, the others of that case are not replaced: the machine is like that.
        """
        self.progress.expect(len(launches))
        noisy, left_out = [], dict.fromkeys((planned.case for planned in cases), 0)
        ended: int | None = None
        for index, planned in enumerate(launches):
            repetition = planned.repetition
            if ended is None and self._late(until) and repetition >= LEAST:
                ended = repetition if index == 0 or launches[index - 1].repetition != repetition else repetition + 1
            if ended is not None and repetition >= ended:
                left_out[planned.case] += 1
            elif self._one(planned, launches[index:]):
                noisy.append(planned)
        in_vain: dict[record.Case, int] = {}
        for planned in noisy:
            if in_vain.get(planned.case, 0) < GIVE_UP_AFTER and not self._late(until):
                self.progress.expect(1)
                again = self._one(replace(planned, attempt=planned.attempt + 1), [planned])
                in_vain[planned.case] = in_vain.get(planned.case, 0) + 1 if again else 0
        return [replace(planned, launches=planned.launches - left_out[planned.case]) for planned in cases]

    def _late(self, until: float | None) -> bool:
        return until is not None and self.now() >= until

    def _one(self, planned: PlannedLaunch, to_come: Sequence[PlannedLaunch]) -> bool:
        """One launch, unless the run has its record already; returns whether it was disturbed."""
        case, path = planned.case, self._path(planned)
        if path.exists():
            self.progress.skip()
            return bool(_disturbed(path))
        self.progress.begin(planned, sum(self._expected(later.case) for later in to_come))
        if self.failures.get(case, 0) < GIVE_UP_AFTER:
            longest = self.known[case] * LIMIT_FACTOR if case in self.known else self._expected(case) * GUESS_FACTOR
            outcome = _launch(self.prepared, planned, path, max(LIMIT_SECONDS, longest), self.progress)
        else:
            outcome = Outcome("skipped", f"given up after {GIVE_UP_AFTER} failures in a row", 0.0)
            _write_empty(path, planned, outcome, [])
        reason = _disturbed(path) if outcome.status == "ok" else ""
        self.progress.end(outcome, reason)
        if outcome.status == "ok":
            self.known[case] = outcome.wall_seconds
        self.failures[case] = 0 if outcome.status == "ok" else self.failures.get(case, 0) + 1
        return bool(reason)

    def _expected(self, case: record.Case) -> float:
        """Seconds that a launch of the case takes."""
        guesses = {planned.case: planned.expected_seconds for planned in self.cases}
        return self.known.get(case, guesses[case])

    def _path(self, planned: PlannedLaunch) -> Path:
        number = [one.case for one in self.cases].index(planned.case)
        attempt = f"-a{planned.attempt}" if planned.attempt > 1 else ""
        name = f"r{planned.repetition:03}-c{number:02}-{planned.case.title.replace(' ', '-')}{attempt}"
        return self.prepared.folder / "launches" / f"{name}.json"


def _disturbed(path: Path) -> str:
    """Why a launch with a record counts as disturbed; empty where it does not."""
    try:
        launch = record.read(path)["launch"]
    except record.RecordError:
        return ""  # of an earlier version, or damaged since; the report names it
    return launch_disturbed(launch["epochs"]) if launch["status"] == "ok" else ""


def _prove(options: RunOptions, prepared: Prepared, cases: Sequence[PlannedCase], console: Console) -> dict[str, Any]:
    """Climb a short ladder, in exact mode and in float32, before anything is measured: a fast wrong result is none."""
    devices = tuple(dict.fromkeys(planned.case.device for planned in cases))
    blind = {planned.case.backend: planned.skip for planned in cases if planned.skip}
    ladders = plan_ladders(options, devices, ("float64", "float32"), blind)
    seeds, climbed = options.seeds[:1], list[dict[str, Any]]()
    climb(prepared, ladders, seeds, SHORT_STEPS, SHORT_TEST_SAMPLES, console, climbed)
    return {"steps": SHORT_STEPS, "seeds": seeds, "test_samples": SHORT_TEST_SAMPLES, "ladders": climbed}


def _launch(prepared: Prepared, planned: PlannedLaunch, final: Path, limit: float, progress: Progress) -> Outcome:
    """Run one launch and write its record, whatever happens but an interruption, which leaves none."""
    python = prepared.pythons[planned.case.backend]
    if python is None:
        outcome = Outcome("failed", environments.missing_reason(planned.case.backend), 0.0)
        _write_empty(final, planned, outcome, [])
        return outcome
    command = prepared.command(python, planned)
    shown = [word.replace(f"{environments.ROOT}{os.sep}", "") for word in command]  # as one would type it there
    left = final.with_name(f".{final.stem}.worker")
    try:
        outcome = launch(
            [*command, f"--benchmark-json={left.resolve()}"],
            log=prepared.folder / "logs" / f"{final.stem}.log",
            limit_seconds=limit,
            on_message=progress.message,
        )
        content, outcome = _collect(left, planned, outcome)
    finally:
        left.unlink(missing_ok=True)
    if content is None:
        _write_empty(final, planned, outcome, shown)
    else:
        added = {"command": shown, "wall_seconds": outcome.wall_seconds}
        record.write(final, {**content, "launch": {**content["launch"], **added}})
    return outcome


def _collect(path: Path, planned: PlannedLaunch, outcome: Outcome) -> tuple[dict[str, Any] | None, Outcome]:
    """The record a worker left, or None and the outcome that says what is wrong with it."""
    if outcome.status != "ok":
        return None, outcome
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # The worker does not know which repetition it is.
        place = {"repetition": planned.repetition, "attempt": planned.attempt}
        whole = {**content, "launch": {**content["launch"], **place}}
        record.check(whole, "the worker's record")
    except (OSError, ValueError, TypeError, KeyError, record.RecordError) as error:
        reason = f"the worker ended well but left no usable record ({error})"
        return None, Outcome("failed", reason, outcome.wall_seconds)
    return whole, outcome


def _write_empty(path: Path, planned: PlannedLaunch, outcome: Outcome, command: Sequence[str]) -> None:
    content = record.empty(
        planned.case,
        repetition=planned.repetition,
        attempt=planned.attempt,
        seed=planned.seed,
        status=outcome.status,
        reason=outcome.reason,
    )
    content["launch"] |= {"command": list(command), "wall_seconds": outcome.wall_seconds}
    record.write(path, content)


def _announce(
    console: Console, cases: Sequence[PlannedCase], known: Mapping[record.Case, float], options: RunOptions
) -> None:
    guesses = {planned.case: planned.expected_seconds for planned in cases}
    for planned in cases:
        case = planned.case
        size = f"{case.samples} samples, {case.epochs} epochs, batch {case.batch_size}"
        basis = "took" if case in known else "guessed:"
        note = planned.skip or f"a launch {basis} about {duration(known.get(case, guesses[case]))}"
        console.print(f"{case.title}: {size}; {note}", markup=False, highlight=False, soft_wrap=True)
    launches = schedule(cases, options.seed)
    total = sum(known.get(item.case, guesses[item.case]) for item in launches)
    said = f"{len(launches)} launches ({options.launches} of each case), about {duration(total)} expected"
    if options.ordered:
        said = f"a pilot of {said}; it decides how many follow"
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    if options.budget_seconds is not None and total > options.budget_seconds:
        budget = f"the pilot alone takes longer than the budget of {duration(options.budget_seconds)}"
        console.print(f"{budget}, which ends it early", markup=False, highlight=False, soft_wrap=True)
