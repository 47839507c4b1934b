"""The epoch clock: what is timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from bench.worker.timing import gauges
from bench.worker.timing.gauges import Counters, Noise
from bench.worker.timing.nvml import Gpu, during, nothing

UNDRAINED = 0.05  # of an epoch: a verdict's margin
UNDRAINED_SECONDS = 0.01  # what a call to an idle device may take when the process has to wait for a CPU


@dataclass(frozen=True)
class Epoch:
    """One epoch, timed from its begin to its end less validation, and what else went on meanwhile.

    The validation's loss and metric are None where nothing is held out. `undrained_seconds` is what the framework's own
    call still waited for when the barrier had returned: nothing to speak of, or the epoch was not over.
    `callback_seconds` are those of the epoch's that callbacks took; None where there is no callback.
    """

    seconds: float
    validation_seconds: float
    cpu_seconds: float
    loss: float
    metric: float
    validation_loss: float | None
    validation_metric: float | None
    undrained_seconds: float | None
    callback_seconds: float | None
    noise: Noise

    def to_json(self) -> dict[str, Any]:
        """The epoch's entry in the record: the gauges among the other values."""
        return {**{name: value for name, value in vars(self).items() if name != "noise"}, **self.noise.to_json()}


class EpochClock(keras.callbacks.Callback):
    """Times whole epochs inside one `fit`; it has to be the first callback of the list.

    A per-batch callback would make JAX and torch wait for every step, and not TensorFlow, so there is none. An epoch
    ends when `barrier` returns; what the callback itself does lies outside the span.

    Args:
        metric: the key in Keras's logs whose value is recorded beside the loss.
        barrier: returns when the device is idle.
        notify: called with (index, epoch) after each epoch, outside the timed span.
        now: a clock in seconds.
        counters: read right before and right after each timed span.
        probe: called before the first reading and after the second.
        gpu: called before and after each timed span.
        synchronize: the framework's own call that waits for the device, called after each timed span; None on a CPU.
        callback_seconds: what other callbacks have taken so far; None where there are none.
    """

    def __init__(
        self,
        metric: str,
        barrier: Callable[[], None],
        notify: Callable[[int, Epoch], None] = lambda _index, _epoch: None,
        now: Callable[[], float] = time.perf_counter,
        counters: Callable[[], Counters] = gauges.counters,
        probe: Callable[[], float] = gauges.probe,
        gpu: Callable[[], Gpu] = nothing,
        synchronize: Callable[[], None] | None = None,
        callback_seconds: Callable[[], float | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._callback_seconds = callback_seconds
        self._synchronize = synchronize
        self.epochs: list[Epoch] = []
        self.setup_seconds = float("nan")
        self.metric, self._barrier, self._notify = metric, barrier, notify
        self._now, self._counters, self._probe, self._gpu = now, counters, probe, gpu
        self._called = now()

    def start(self) -> None:
        """Note the time right before `fit` is called: from there to the first epoch is setup."""
        self._called = self._now()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if not self.epochs:
            self.setup_seconds = self._now() - self._called
        self._validation_seconds = self._validation_cpu_seconds = 0.0
        self._callbacks_before = self._callback_seconds()
        self._gpu_before = self._gpu()
        self._probed = self._probe()
        self._before = self._counters()
        self._began = self._now()

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self._validation_began, self._validation_cpu_began = self._now(), self._counters().cpu_seconds

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self._validation_cpu_seconds += self._counters().cpu_seconds - self._validation_cpu_began
        self._validation_seconds += self._now() - self._validation_began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._barrier()
        ended = self._now()
        after = self._counters()
        callbacks = self._callback_seconds()
        undrained = None if self._synchronize is None else self._waited(self._synchronize)
        gpu = during(self._gpu_before, self._gpu())
        recorded = Epoch(
            seconds=ended - self._began - self._validation_seconds,
            validation_seconds=self._validation_seconds,
            cpu_seconds=after.cpu_seconds - self._before.cpu_seconds - self._validation_cpu_seconds,
            loss=float(logs["loss"]),
            metric=float(logs[self.metric]),
            validation_loss=_number(logs.get("val_loss")),
            validation_metric=_number(logs.get(f"val_{self.metric}")),
            undrained_seconds=undrained,
            callback_seconds=None if callbacks is None else callbacks - (self._callbacks_before or 0.0),
            noise=gauges.noise(self._before, after, (self._probed, self._probe()), gpu),
        )
        self.epochs.append(recorded)
        self._notify(epoch, recorded)

    def _waited(self, synchronize: Callable[[], None]) -> float:
        began = self._now()
        synchronize()
        return self._now() - began

    def check_drained(self) -> None:
        """Raise RuntimeError where most steady epochs were not over when the barrier returned: then no time is right.

        Most, since a barrier that is wrong is wrong each time, and a collection of Python's objects or another process
        may hold up a single call. Not the first epoch, after which the call itself may be compiled.
        """
        steady = self.epochs[1:]
        late = [
            epoch
            for epoch in steady
            if (epoch.undrained_seconds or 0.0) > max(UNDRAINED * epoch.seconds, UNDRAINED_SECONDS)
        ]
        if 2 * len(late) > len(steady):
            raise RuntimeError(
                f"the barrier returned before the device had finished: in {len(late)} of {len(steady)} steady epochs, "
                f"such as one of {late[0].seconds:.3g} s, after which the framework's own call took "
                f"{late[0].undrained_seconds:.3g} s"
            )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
