"""A run that stops as soon as it is sure: verdicts are looked at after each repetition from the third on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.contract.case import FIRST_LOOK, Case, in_turns
from bench.plan.planned import PlannedCase, PlannedLaunch
from bench.plan.schedule import schedule
from bench.run.workflow import MeasuringRun


def launch_until_decided(run: MeasuringRun) -> MeasuringRun:
    """Launch every case until all verdicts that rest on it are sure, or as often as it is planned.

    A repetition that was disturbed is measured anew before anybody looks at it. A budget that is used up ends all.
    """
    from bench.analysis import frames  # pandas and scipy: only between launches
    from bench.analysis.decided import undecided

    rest = schedule(run.cases, run.options.seed)
    cases = [planned if planned.skip else replace(planned, launches=0) for planned in run.cases]
    run.progress.expect(len(rest))
    with run.progress:
        while rest:
            due = _due(rest, len(run.measuring.places))
            rest, repetition = rest[len(due) :], due[-1].repetition
            wanted = _more(cases, [one.case for one in due])
            cases = run.measuring.all(wanted, due, run.until, later=rest)
            if list(cases) != list(wanted):
                run.progress.say("the budget ended before every verdict was sure")
                break
            if repetition + 1 >= FIRST_LOOK:
                rest = _of_undecided(run, repetition + 1, rest, undecided(frames.load(run.folder)))
    return replace(run, cases=cases)


def _due(rest: Sequence[PlannedLaunch], places: int) -> Sequence[PlannedLaunch]:
    """What is launched before the next look: a repetition, or as many as give each place something to do."""
    numbers = list(dict.fromkeys(one.repetition for one in rest))
    groups = len({in_turns(one.case) for one in rest if one.repetition == numbers[0]})
    last = numbers[min(-(-places // groups), len(numbers)) - 1]
    return [one for one in rest if one.repetition <= last]


def _more(cases: Sequence[PlannedCase], due: Sequence[Case]) -> list[PlannedCase]:
    return [replace(one, launches=one.launches + due.count(one.case)) for one in cases]


def _of_undecided(
    run: MeasuringRun, repetitions: int, rest: Sequence[PlannedLaunch], undecided: Collection[Case]
) -> list[PlannedLaunch]:
    """Of the launches that may follow those that do, after a look; what stops is said."""
    stopping = dict.fromkeys(one.case for one in rest if one.case not in undecided)
    going = [one for one in rest if one.case in undecided]
    run.progress.expect(len(going) - len(rest))
    if stopping:
        names = ", ".join(" ".join(case.title.split()) for case in stopping)
        run.progress.say(f"sure after {repetitions} repetitions, and not launched again: {names}")
    return going
