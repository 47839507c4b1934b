"""The epoch clock: what is timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from bench.worker.logs import LOSS, loss_name
from bench.worker.timing import gauges
from bench.worker.timing.gauges import Counters, Noise
from bench.worker.timing.nvml import Gpu, during, nothing

# Reading the gauges takes about 6 ms, and wakes what an epoch finds asleep; in less than 50 ms they see nothing either.
SHORT_SECONDS = 0.05  # of an epoch that is timed together with others
SPAN_SECONDS = 0.1  # of such a span, at least
UNDRAINED = 0.05  # of an epoch: a verdict's margin
UNDRAINED_SECONDS = 0.01  # what a call to an idle device may take when the process has to wait for a CPU


@dataclass(frozen=True)
class Epoch:
    """One epoch, timed from its begin to its end less validation, and what else went on meanwhile.

    Short ones are timed together, in one span of `span_epochs`: each has an equal share of what the span took, and
    values of its own after that.

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
    span_epochs: int
    noise: Noise

    def to_json(self) -> dict[str, Any]:
        """The epoch's entry in the record: the gauges among the other values."""
        return {**{name: value for name, value in vars(self).items() if name != "noise"}, **self.noise.to_json()}


class EpochClock(keras.callbacks.Callback):
    """Times whole epochs inside one `fit`; it has to be the first callback of the list.

    A per-batch callback would make JAX and torch wait for every step, and not TensorFlow, so there is none. An epoch
    ends when `barrier` returns; what the callback itself does lies outside the span. Of epochs that are timed together
    each ends with the values in its logs, which the framework has waited for, and the last one with the barrier; what
    other callbacks do between them is no part of the span.

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
        epochs: how many are trained. Without it no epochs are timed together.
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
        epochs: int = 0,
    ) -> None:
        super().__init__()
        self._callback_seconds, self._planned = callback_seconds, epochs
        self._waiting: list[tuple[int, dict[str, float | None]]] = []  # epochs of the span that is open
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
        if not self._waiting:
            self._open()
        self._callbacks_before = self._callback_seconds()
        self._began = self._now()

    def _open(self) -> None:
        """Begin a span: read the gauges."""
        self._spent = self._validation_seconds = self._validation_cpu_seconds = self._callbacks_spent = 0.0
        self._gpu_before = self._gpu()
        self._probed = self._probe()
        self._before = self._counters()

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self._validation_began, self._validation_cpu_began = self._now(), self._counters().cpu_seconds

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self._validation_cpu_seconds += self._counters().cpu_seconds - self._validation_cpu_began
        self._validation_seconds += self._now() - self._validation_began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        goes_on = self._goes_on()
        if not goes_on:
            self._barrier()
        self._spent += self._now() - self._began
        self._callbacks_spent += (self._callback_seconds() or 0.0) - (self._callbacks_before or 0.0)
        self._waiting.append((epoch, self._scores(logs)))
        if not goes_on:
            self._close()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        if self._waiting:  # a callback has ended the training within a span
            self._close()

    def _goes_on(self) -> bool:
        """Whether the next epoch belongs to the same span: while this one is short, and what is left, too."""
        trained = len(self._waiting) + 1
        left = self._planned - len(self.epochs) - trained
        if left <= 0 or not self.epochs:
            return False
        spent = self._spent + self._now() - self._began - self._validation_seconds
        return spent < (SPAN_SECONDS if self._waiting else SHORT_SECONDS) or left * spent < SHORT_SECONDS * trained

    def _scores(self, logs: Any) -> dict[str, float | None]:
        loss = loss_name(logs)
        metric = loss if self.metric == LOSS else self.metric
        return {
            "loss": float(logs[loss]),
            "metric": float(logs[metric]),
            "validation_loss": _number(logs.get(f"val_{loss}")),
            "validation_metric": _number(logs.get(f"val_{metric}")),
        }

    def _close(self) -> None:
        """End a span: read the gauges, and record each of its epochs with an equal share of all that they took."""
        after = self._counters()
        undrained = None if self._synchronize is None else self._waited(self._synchronize)
        gpu = during(self._gpu_before, self._gpu())
        count = len(self._waiting)
        shared = {
            "seconds": (self._spent - self._validation_seconds) / count,
            "validation_seconds": self._validation_seconds / count,
            "cpu_seconds": (after.cpu_seconds - self._before.cpu_seconds - self._validation_cpu_seconds) / count,
            "undrained_seconds": None if undrained is None else undrained / count,
            "callback_seconds": None if self._callbacks_before is None else self._callbacks_spent / count,
        }
        noise = gauges.noise(self._before, after, (self._probed, self._probe()), gpu).shared(count)
        waiting, self._waiting = self._waiting, []
        for epoch, scores in waiting:
            recorded = Epoch(**shared, **scores, span_epochs=count, noise=noise)  # type: ignore[arg-type]
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
            if epoch.span_epochs * (epoch.undrained_seconds or 0.0)
            > max(UNDRAINED * epoch.seconds * epoch.span_epochs, UNDRAINED_SECONDS)
        ]
        if 2 * len(late) > len(steady):
            raise RuntimeError(
                f"the barrier returned before the device had finished: in {len(late)} of {len(steady)} steady epochs, "
                f"such as one of {late[0].seconds:.3g} s, after which the framework's own call took "
                f"{late[0].undrained_seconds:.3g} s"
            )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
