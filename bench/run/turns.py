"""Repetitions over places: each place takes the next one when it is free, and what a lost place had begun goes on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.contract.errors import RunError
from bench.places.place import NodeLostError, Place
from bench.plan.planned import PlannedLaunch

Repetition = Sequence[PlannedLaunch]  # the launches of a group in one repetition, which take turns in one place


@dataclass
class Turns:
    """Repetitions that wait, and what is done with them; a place that is lost is taken out of `places`.

    take: the next of those that wait, or what is left of it; called by one place at a time, as is `lost`.
    measure: its launches, in a place.
    lost: what is to be measured anew of a repetition that was begun in a place which is lost.
    """

    places: list[Place]
    waiting: deque[Repetition]
    take: Callable[[], Repetition]
    measure: Callable[[Repetition, Place], None]
    lost: Callable[[Repetition, Place, NodeLostError], Repetition]
    _free: threading.Condition = field(default_factory=threading.Condition)
    _busy: int = 0
    _failures: list[BaseException] = field(default_factory=list)

    def all(self) -> None:
        """Measure all; RunError where the last place is lost, or the error of one that failed."""
        if not any(place.name for place in self.places):
            (here,) = self.places
            while self.waiting:
                self._measure(self.take(), here)  # by this thread, to which an interruption comes
            return
        threads = [threading.Thread(target=self._work, args=(place,), daemon=True) for place in self.places]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException as error:  # Ctrl-C: what runs on the nodes is ended, and the threads with it
            self._failures.append(error)
            for place in self.places:
                place.close()
            for thread in threads:
                thread.join()
            raise
        if self._failures:
            raise self._failures[0]
        if self.waiting:
            raise RunError("no node is left; what was measured is kept, and --resume goes on with others")

    def _work(self, place: Place) -> None:
        """Measure in a place until nothing waits and nothing can come back from others."""
        while (repetition := self._next()) is not None:
            try:
                self._measure(repetition, place)
            except NodeLostError as error:
                self._lose(repetition, place, error)
                return
            except BaseException as error:
                self._failures.append(error)
            finally:
                with self._free:
                    self._busy -= 1
                    self._free.notify_all()

    def _measure(self, repetition: Repetition, place: Place) -> None:
        if repetition:
            self.measure(repetition, place)

    def _next(self) -> Repetition | None:
        with self._free:
            while True:
                if self._failures:
                    return None
                if self.waiting:
                    self._busy += 1
                    return self.take()
                if not self._busy:
                    return None
                self._free.wait()

    def _lose(self, repetition: Repetition, place: Place, error: NodeLostError) -> None:
        with self._free:
            if self._failures:
                return  # it was closed since the run ends
            self.places.remove(place)
            self.waiting.appendleft(self.lost(repetition, place, error))
        place.close()
