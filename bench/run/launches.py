"""The launches of a run, one after the other: limits, faults, disturbances; each leaves its record."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.contract import files, launch_record, record
from bench.contract.case import Case, in_path, in_turns
from bench.contract.files import RecordError
from bench.contract.paths import ROOT
from bench.launch.outcome import Outcome
from bench.launch.process import launch
from bench.plan.planned import PlannedCase, PlannedLaunch
from bench.run.console import Progress, duration
from bench.run.prepare import Prepared

LIMIT_SECONDS = 300.0  # seconds; no launch is ended earlier
LIMIT_FACTOR = 10.0  # nor before this many times what the case took last time
GUESS_FACTOR = 30.0  # nor, where it has not run yet, before this many times what the reference backend's speed suggests
GIVE_UP_AFTER = (
    2  # failures in a row, or repetitions anew that were disturbed too: more would most likely only cost time
)
LEAST = 2  # repetitions that are measured whatever the budget: one gives no interval


Place = tuple[Case, int]  # what is measured together: a group's repetition


def _place(planned: PlannedLaunch) -> Place:
    return in_turns(planned.case), planned.repetition


def _anew(launches: Sequence[PlannedLaunch]) -> list[PlannedLaunch]:
    return [replace(planned, attempt=planned.attempt + 1) for planned in launches]


@dataclass
class Measuring:
    """Executes launches one after the other; each leaves its record, whatever happens but an interruption.

    Each launch's seconds are added to `known`, for the time left and for the next one's limit.
    """

    prepared: Prepared
    cases: Sequence[PlannedCase]
    known: dict[Case, float]
    progress: Progress
    now: Callable[[], float]
    failures: dict[Case, int] = field(default_factory=dict)
    in_vain: dict[Case, int] = field(default_factory=dict)  # by group: repetitions in a row that were disturbed anew

    def all(
        self,
        cases: Sequence[PlannedCase],
        launches: Sequence[PlannedLaunch],
        until: float | None,
        later: Sequence[PlannedLaunch] = (),
    ) -> list[PlannedCase]:
        """Launch all, then the disturbed ones anew; returns the cases with the launches they came to.

        `later` are launches that may follow, which the time left includes.

        A launch that has its record is not repeated. A repetition that would begin after `until` is left out,
        unless there are not two yet. Where a launch was disturbed, all backends of its group repeat that repetition, so
        that they go on taking turns and no backend gets a second try alone. Once two such repetitions of a group in a
        row are disturbed too, its others are kept as they are: that is how the machine is.
        """
        left_out = dict.fromkeys((planned.case for planned in cases), 0)
        together: dict[Place, list[PlannedLaunch]] = {}
        for planned in launches:
            together.setdefault(_place(planned), []).append(planned)
        noisy, ended = dict[Place, list[PlannedLaunch]](), math.inf
        for index, planned in enumerate(launches):
            repetition, place = planned.repetition, _place(planned)
            if ended == math.inf and repetition >= LEAST and self._late(until):
                ended = repetition if index == 0 or launches[index - 1].repetition != repetition else repetition + 1
            if repetition >= ended and not self._path(planned).exists():
                left_out[planned.case] += 1
                together[place].remove(planned)
                continue
            ahead = [*launches[index + 1 :], *itertools.chain(*map(_anew, noisy.values())), *later]
            if self._one(planned, ahead, anew=[] if place in noisy else _anew(together[place])):
                noisy[place] = together[place]
        self._measure_anew(noisy, until, later)
        return [replace(planned, launches=planned.launches - left_out[planned.case]) for planned in cases]

    def _measure_anew(
        self, noisy: Mapping[Place, Sequence[PlannedLaunch]], until: float | None, later: Sequence[PlannedLaunch]
    ) -> None:
        """Measure disturbed repetitions anew and say so; say of those that are kept as they are why."""
        in_vain = self.in_vain
        kept: dict[str, int] = {}
        waiting = {place: _anew(disturbed) for place, disturbed in noisy.items()}
        while waiting:
            group, repetition = next(iter(waiting))
            repeated = waiting.pop((group, repetition))
            if in_vain.get(group, 0) >= GIVE_UP_AFTER or self._late(until):
                why = "the time is used up" if self._late(until) else f"{GIVE_UP_AFTER} in a row were disturbed anew"
                kept[why] = kept.get(why, 0) + 1
                continue
            self._announce(group, repetition, repeated)
            ahead = [*itertools.chain(*waiting.values()), *later]
            again = [self._one(one, [*repeated[index + 1 :], *ahead]) for index, one in enumerate(repeated)]
            in_vain[group] = in_vain.get(group, 0) + 1 if any(again) else 0
        for why, count in kept.items():
            self.progress.say(f"disturbed and kept as they are: {_repetitions(count)} more; {why}")

    def _announce(self, group: Case, repetition: int, anew: Sequence[PlannedLaunch]) -> None:
        """Say that more launches follow; a run that goes on may have some of them already."""
        self.progress.expect(len(anew))
        missing = [planned for planned in anew if not self._path(planned).exists()]
        if missing:
            which = f"repetition {repetition + 1} of {' '.join(group.title.split())}"
            more = "1 launch more" if len(missing) == 1 else f"{len(missing)} launches more"
            seconds = duration(self._seconds_of(missing))
            self.progress.say(f"{which} was disturbed and is measured anew: {more}, about {seconds}")

    def _late(self, until: float | None) -> bool:
        return until is not None and self.now() >= until

    def _one(self, planned: PlannedLaunch, later: Sequence[PlannedLaunch], anew: Sequence[PlannedLaunch] = ()) -> bool:
        """One launch, unless the run has its record already; returns whether it was disturbed.

        For the time left: `later` are the launches after it, and `anew` those that follow where it was disturbed.
        """
        case, path = planned.case, self._path(planned)
        if path.exists():
            self.progress.skip()
            return bool(_disturbed(path))
        self.progress.begin(planned, self._seconds_of([planned, *later]))
        if self.failures.get(case, 0) < GIVE_UP_AFTER:
            longest = self.known[case] * LIMIT_FACTOR if case in self.known else self._expected(case) * GUESS_FACTOR
            outcome = _launch(self.prepared, planned, path, max(LIMIT_SECONDS, longest), self.progress)
        else:
            outcome = Outcome("skipped", f"given up after {GIVE_UP_AFTER} failures in a row", 0.0)
            _write_empty(path, planned, outcome, [])
        reason = _disturbed(path) if outcome.status == "ok" else ""
        if outcome.status == "ok":
            self.known[case] = outcome.wall_seconds
        self.progress.end(outcome, self._seconds_of([*later, *(anew if reason else ())]), reason)
        self.failures[case] = 0 if outcome.status == "ok" else self.failures.get(case, 0) + 1
        return bool(reason)

    def _seconds_of(self, launches: Sequence[PlannedLaunch]) -> float:
        """Seconds that those of the launches take which have no record yet."""
        return sum(self._expected(planned.case) for planned in launches if not self._path(planned).exists())

    def _expected(self, case: Case) -> float:
        """Seconds that a launch of the case takes."""
        guesses = {planned.case: planned.expected_seconds for planned in self.cases}
        return self.known.get(case, guesses[case])

    def _path(self, planned: PlannedLaunch) -> Path:
        number = [one.case for one in self.cases].index(planned.case)
        attempt = f"-a{planned.attempt}" if planned.attempt > 1 else ""
        name = f"r{planned.repetition:03}-c{number:02}-{in_path(planned.case.title)}{attempt}"
        return self.prepared.folder / "launches" / f"{name}.json"


def _repetitions(count: int) -> str:
    return "1 repetition" if count == 1 else f"{count} repetitions"


def _disturbed(path: Path) -> str:
    """Why a launch with a record counts as disturbed; empty where it does not."""
    try:
        return launch_record.read(path).disturbed
    except RecordError:
        return ""  # of an earlier version, or damaged since; the report names it


def _launch(prepared: Prepared, planned: PlannedLaunch, final: Path, limit: float, progress: Progress) -> Outcome:
    """Run one launch and write its record, whatever happens but an interruption, which leaves none."""
    python = prepared.python(planned.case.backend, planned.case.variant)
    if python is None:
        outcome = Outcome("failed", prepared.missing_reason(planned.case.backend), 0.0)
        _write_empty(final, planned, outcome, [])
        return outcome
    command = prepared.command(python, planned)
    shown = [word.replace(f"{ROOT}{os.sep}", "") for word in command]  # as one would type it there
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
        for path in (left, left.with_name(f"{left.name}.measured")):  # the node's, and the worker's if both were ended
            path.unlink(missing_ok=True)
    if content is None:
        _write_empty(final, planned, outcome, shown)
    else:
        added = {"command": shown, "wall_seconds": outcome.wall_seconds}
        added |= {"remark": outcome.remark} if outcome.remark else {}
        files.write(final, {**content, "launch": {**content["launch"], **added}})
    return outcome


def _collect(path: Path, planned: PlannedLaunch, outcome: Outcome) -> tuple[dict[str, Any] | None, Outcome]:
    """The record a worker left, or None and the outcome that says what is wrong with it.

    One that is complete counts, however its process ended afterwards: what was measured is not lost.
    """
    try:
        whole = _left(path, planned)
    except RecordError as error:
        reason = f"the worker ended well but left no usable record ({error})"
        unusable = Outcome("failed", reason, outcome.wall_seconds, outcome.remark)
        return None, unusable if outcome.status == "ok" else outcome
    if outcome.status != "ok":
        remark = f"its record was complete before its process ended badly ({outcome.status}: {outcome.reason})"
        return whole, Outcome("ok", "", outcome.wall_seconds, remark)
    return whole, outcome


def _left(path: Path, planned: PlannedLaunch) -> dict[str, Any]:
    """A worker's record, with its place in the run added; RecordError for an unusable one."""
    if not path.exists():
        raise RecordError("it wrote none")
    content = files.load(path)
    if not isinstance(content.get("launch"), dict):
        raise RecordError("it has no launch object")
    launch = content["launch"] | {"repetition": planned.repetition, "attempt": planned.attempt}
    whole = {**content, "launch": launch}
    found = launch_record.check(whole, "its record")
    if (found.case, found.seed) != (planned.case, planned.seed):
        raise RecordError("it is of another launch")
    return whole


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
    files.write(path, content)
