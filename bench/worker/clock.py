"""The epoch clock: what is timed, and how pytest-benchmark comes to know of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras


class Gauges(NamedTuple):
    """Readings taken outside the timed span: this process's CPU seconds, and the machine's stolen and total ticks."""

    cpu_seconds: float
    stolen_ticks: int
    total_ticks: int


@dataclass(frozen=True)
class Epoch:
    """One epoch, timed from its begin to its end less validation. `steal_fraction` is None where it cannot be read."""

    seconds: float
    validation_seconds: float
    cpu_seconds: float
    steal_fraction: float | None
    loss: float
    metric: float


def read_gauges(stat: Path = Path("/proc/stat")) -> Gauges:
    """The gauges now; the ticks are 0 where the system does not tell them."""
    try:
        ticks = [int(word) for word in stat.read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        ticks = [0] * 8
    return Gauges(time.process_time(), ticks[7], sum(ticks))


class EpochClock(keras.callbacks.Callback):
    """Times whole epochs inside one `fit`; it has to be the first callback of the list.

    A per-batch callback would make JAX and torch wait for every step, and not TensorFlow, so there is none. An epoch
    ends when `barrier` returns; what the callback itself does lies outside the span.

    Args:
        metric: the key in Keras's logs whose value is recorded beside the loss.
        barrier: returns when the device is idle.
        notify: called with (index, epoch) after each epoch, outside the timed span.
        now: a clock in seconds.
        gauges: read right before and right after each timed span.
    """

    def __init__(
        self,
        metric: str,
        barrier: Callable[[], None],
        notify: Callable[[int, Epoch], None] = lambda _index, _epoch: None,
        now: Callable[[], float] = time.perf_counter,
        gauges: Callable[[], Gauges] = read_gauges,
    ) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self.setup_seconds = float("nan")
        self._metric, self._barrier, self._notify, self._now, self._gauges = metric, barrier, notify, now, gauges
        self._called = now()

    def start(self) -> None:
        """Note the time right before `fit` is called: what passes until the first epoch begins is setup."""
        self._called = self._now()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._validation_seconds = self._validation_cpu_seconds = 0.0
        self._before = self._gauges()
        self._began = self._now()
        if not self.epochs:
            self.setup_seconds = self._began - self._called

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self._validation_began, self._validation_cpu_began = self._now(), self._gauges().cpu_seconds

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self._validation_cpu_seconds += self._gauges().cpu_seconds - self._validation_cpu_began
        self._validation_seconds += self._now() - self._validation_began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._barrier()
        ended = self._now()
        after = self._gauges()
        ticks = after.total_ticks - self._before.total_ticks
        recorded = Epoch(
            seconds=ended - self._began - self._validation_seconds,
            validation_seconds=self._validation_seconds,
            cpu_seconds=after.cpu_seconds - self._before.cpu_seconds - self._validation_cpu_seconds,
            steal_fraction=(after.stolen_ticks - self._before.stolen_ticks) / ticks if ticks > 0 else None,
            loss=float(logs["loss"]),
            metric=float(logs[self._metric]),
        )
        self.epochs.append(recorded)
        self._notify(epoch, recorded)


class ReplayClock:
    """A clock that moves only when told: pytest-benchmark's `timer`, through which it receives recorded durations."""

    def __init__(self) -> None:
        self._now = 0.0
        self._durations: list[float] = []

    def __repr__(self) -> str:
        return "ReplayClock()"  # stands in every record, where an address would only make noise

    def load(self, durations: list[float]) -> None:
        """The durations, in seconds, that the next calls of `advance` take."""
        self._durations = list(durations)

    def __call__(self) -> float:
        """The time in seconds."""
        return self._now

    def advance(self) -> None:
        """Let the next recorded duration pass."""
        self._now += self._durations.pop(0)
