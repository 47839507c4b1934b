"""The launches of a run, repetition after repetition: limits, faults, disturbances; each leaves its record."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.contract.case import Case, in_path, in_turns
from bench.launch.outcome import Outcome
from bench.places.place import NodeLostError, Place
from bench.plan.planned import PlannedCase, PlannedLaunch
from bench.run.console import Progress, duration
from bench.run.one_launch import disturbed, launch, place_of, write_empty
from bench.run.prepare import Prepared
from bench.run.turns import Repetition, Turns

LIMIT_SECONDS = 300.0  # seconds; no launch is ended earlier
LIMIT_FACTOR = 10.0  # nor before this many times what the case took last time
GUESS_FACTOR = 30.0  # nor, where it has not run yet, before this many times what the reference backend's speed suggests
GIVE_UP_AFTER = (
    2  # failures in a row, or repetitions anew that were disturbed too: more would most likely only cost time
)
LEAST = 2  # repetitions that are measured whatever the budget: one gives no interval


Key = tuple[Case, int]


def _key(planned: PlannedLaunch) -> Key:
    return in_turns(planned.case), planned.repetition


def _anew(launches: Repetition) -> list[PlannedLaunch]:
    return [replace(planned, attempt=planned.attempt + 1) for planned in launches]


@dataclass
class Measuring:
    """Executes launches, in each place one after the other; each leaves its record unless the run is interrupted.

    A repetition of a group stays in one place, so that the launches that are compared take turns on one machine. Each
    launch's seconds are added to `known`, for the time left and for the next one's limit.
    """

    prepared: Prepared
    cases: Sequence[PlannedCase]
    known: dict[Case, float]
    progress: Progress
    now: Callable[[], float]
    places: list[Place]
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

        RunError where the last node is lost.
        """
        left_out = dict.fromkeys((planned.case for planned in cases), 0)
        waiting: deque[Repetition] = deque(list(one) for _, one in itertools.groupby(launches, key=_key))
        noisy = dict[Key, Repetition]()
        begun, ended = -1, math.inf  # numbers of repetitions

        def take() -> Repetition:
            nonlocal begun, ended
            repetition = waiting.popleft()
            number = repetition[0].repetition
            if ended == math.inf and number >= LEAST and self._late(until):
                ended = number + 1 if number == begun else number
            begun = number
            if number < ended:
                return repetition
            missing = [planned for planned in repetition if not self._path(planned).exists()]
            for planned in missing:
                left_out[planned.case] += 1
            return [planned for planned in repetition if planned not in missing]

        def measure(begun: Repetition, place: Place) -> None:
            repetition = self._going_on(begun, place)
            key = _key(repetition[0])
            noisy.pop(key, None)  # of a try that was lost
            for index, planned in enumerate(repetition):
                ahead = [*repetition[index + 1 :], *_flat(waiting), *_flat(map(_anew, list(noisy.values()))), *later]
                if self._one(planned, ahead, place, anew=[] if key in noisy else _anew(repetition)):
                    noisy[key] = repetition

        Turns(self.places, waiting, take, measure, self._lost).all()
        self._measure_anew(noisy, until, later)
        return [replace(planned, launches=planned.launches - left_out[planned.case]) for planned in cases]

    def _measure_anew(
        self, noisy: Mapping[Key, Repetition], until: float | None, later: Sequence[PlannedLaunch]
    ) -> None:
        """Measure disturbed repetitions anew and say so; say of those that are kept as they are why."""
        kept: dict[str, int] = {}
        waiting: deque[Repetition] = deque(map(_anew, noisy.values()))

        def take() -> Repetition:
            repetition = waiting.popleft()
            group, number = _key(repetition[0])
            if self.in_vain.get(group, 0) >= GIVE_UP_AFTER or self._late(until):
                why = "the time is used up" if self._late(until) else f"{GIVE_UP_AFTER} in a row were disturbed anew"
                kept[why] = kept.get(why, 0) + 1
                return []
            self._announce(group, number, repetition)
            return repetition

        def measure(begun: Repetition, place: Place) -> None:
            repetition = self._going_on(begun, place)
            group, _ = _key(repetition[0])
            again = [
                self._one(planned, [*repetition[index + 1 :], *_flat(waiting), *later], place)
                for index, planned in enumerate(repetition)
            ]
            self.in_vain[group] = self.in_vain.get(group, 0) + 1 if any(again) else 0

        Turns(self.places, waiting, take, measure, self._lost).all()
        for why, count in kept.items():
            self.progress.say(f"disturbed and kept as they are: {_repetitions(count)} more; {why}")

    def _going_on(self, repetition: Repetition, place: Place) -> Repetition:
        """A repetition as it goes on in a place: what another one has begun and not ended begins anew."""
        while True:
            records = [path for path in map(self._path, repetition) if path.exists()]
            if len(records) == len(repetition) or {place_of(path) for path in records} <= {place.name}:
                return repetition
            repetition = _anew(repetition)

    def _lost(self, repetition: Repetition, place: Place, error: NodeLostError) -> Repetition:
        """Say that a place is lost, and what is measured elsewhere for that."""
        group, number = _key(repetition[0])
        again = _anew(repetition)
        self.progress.expect(len(again) - sum(not self._path(planned).exists() for planned in repetition) + 1)
        words = f"repetition {number + 1} of {' '.join(group.title.split())} is measured anew elsewhere"
        self.progress.say(f"{place.name} is lost: {error}; {words if len(self.places) else 'no other place is left'}")
        return again

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

    def _one(
        self,
        planned: PlannedLaunch,
        later: Sequence[PlannedLaunch],
        place: Place,
        anew: Sequence[PlannedLaunch] = (),
    ) -> bool:
        """One launch, unless the run has its record already; returns whether it was disturbed.

        For the time left: `later` are the launches after it, and `anew` those that follow where it was disturbed.
        """
        case, path = planned.case, self._path(planned)
        if path.exists():
            self.progress.skip()
            return bool(disturbed(path))
        progress = self.progress.on(place.name)
        progress.begin(planned, self._seconds_of([planned, *later]))
        if self.failures.get(case, 0) < GIVE_UP_AFTER:
            longest = self.known[case] * LIMIT_FACTOR if case in self.known else self._expected(case) * GUESS_FACTOR
            outcome = launch(self.prepared, planned, path, max(LIMIT_SECONDS, longest), progress, place)
        else:
            outcome = Outcome("skipped", f"given up after {GIVE_UP_AFTER} failures in a row", 0.0)
            write_empty(path, planned, outcome, (), place.recorded)
        reason = disturbed(path) if outcome.status == "ok" else ""
        if outcome.status == "ok":
            self.known[case] = outcome.wall_seconds
        progress.end(outcome, self._seconds_of([*later, *(anew if reason else ())]), reason)
        self.failures[case] = 0 if outcome.status == "ok" else self.failures.get(case, 0) + 1
        return bool(reason)

    def _seconds_of(self, launches: Sequence[PlannedLaunch]) -> float:
        """Seconds that those of the launches take which have no record yet, all places together."""
        seconds = sum(self._expected(planned.case) for planned in launches if not self._path(planned).exists())
        return seconds / max(len(self.places), 1)

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


def _flat(waiting: Iterable[Repetition]) -> Iterator[PlannedLaunch]:
    return itertools.chain.from_iterable(list(waiting))
