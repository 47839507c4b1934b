"""The tracks: one workload trained as a user types it, controlled, tuned, in its own loop, and without Keras.

Each is the same network from the same weights; `fit`, `tuned`, `loop` and `native` take the same batches in the same
order. A *knob* is a choice of how a track is executed; which values are tried is said by `knobs`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from bench.contract.case import RESIDENT, SEARCHED, Case, input_kinds
from bench.worker import backends
from bench.worker.backends import Knobs
from bench.worker.errors import StartError
from bench.worker.timing.clock import EpochClock
from bench.worker.workload import inputs, load
from bench.worker.workload.load import HeldOut

OWN_LOOP = ("loop", "native")
FIT_KNOBS: Mapping[str, Sequence[Any]] = {
    "jit_compile": ("auto", True, False),
    "steps_per_execution": (1, 8, 32),
    "input": tuple(name for name in input_kinds() if name != RESIDENT),
}
# Of glibc's mallopt. Freed memory goes back to the kernel by default and has to be paged in again, thousands of pages a
# step: JAX and torch, which allocate anew in every step, lose up to a third of it on a CPU.
M_TRIM_THRESHOLD, M_MMAP_MAX, NEVER = -1, -4, 2**31 - 1


def knobs(backend: str, track: str) -> Mapping[str, Sequence[Any]]:
    """The knobs of a track, each with its values, of which the first is the default; `malloc` is one of all of them."""
    return FIT_KNOBS if track == "tuned" else backends.candidates(backend, track)


def defaults(backend: str, track: str) -> dict[str, Any]:
    """The default of each knob."""
    if track not in SEARCHED:
        return {}
    return {**{name: values[0] for name, values in knobs(backend, track).items()}, "malloc": "default"}


def keep_freed_memory() -> None:
    """Let the process keep what it frees for its next use; StartError where the C library cannot.

    It cannot be undone, and what the frameworks allocate themselves (a GPU's memory, TensorFlow's tensors) is not
    touched.
    """
    library = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(library, "mallopt"):
        raise StartError("malloc=keep needs glibc's mallopt, which this system does not have")
    if not (library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, NEVER)):
        raise StartError("malloc=keep: mallopt refused it")


def execution(track: str, given: Knobs) -> dict[str, Any]:
    """The arguments of `model.compile` that a track sets itself."""
    return {name: given[name] for name in ("jit_compile", "steps_per_execution") if track == "tuned"}


def train(
    case: Case,
    model: keras.Model,
    parts: Sequence[Any],
    given: Knobs,
    clock: EpochClock,
    held_out: HeldOut | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    evaluation_batch: int = load.EVALUATION_BATCH,
    before: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Train a compiled model for the case's epochs, each timed by the clock; the weights end up in the model.

    `parts` are samples, labels and, where samples count differently, their weights: arrays of shape (samples, …), or
    structures of them. With `shipped` `fit` shuffles them and takes the last partial batch too; otherwise their length
    is a multiple of the batch size. What is held out is evaluated after each epoch, so many at a time, and `callbacks`,
    called after the clock, may end the training early. `before` are called before it: the logs that they put in place
    are those of all devices.
    """
    every = [*before, clock, *callbacks]
    if case.track in OWN_LOOP:
        train_in_own_loop(case, model, parts, given, clock, held_out, every, evaluation_batch)
        return
    validation = {} if held_out is None else {"validation_data": held_out, "validation_batch_size": evaluation_batch}
    clock.start()
    if case.track == "shipped":
        handed = inputs.arguments("arrays", parts, case.batch_size)
        model.fit(**handed, epochs=case.epochs, callbacks=every, **validation)
        return
    handed = inputs.arguments(given.get("input", case.input), parts, case.batch_size)
    model.fit(**handed, epochs=case.epochs, shuffle=False, verbose=0, callbacks=every, **validation)


def train_in_own_loop(
    case: Case,
    model: keras.Model,
    parts: Sequence[Any],
    given: Knobs,
    clock: EpochClock,
    held_out: HeldOut | None,
    callbacks: Sequence[keras.callbacks.Callback],
    evaluation_batch: int,
) -> None:
    """As `fit` does it: the callbacks are called at the same places, validation goes through the Keras model."""
    metric = clock.metric
    called = keras.callbacks.CallbackList(callbacks, model=model)
    model.stop_training = False
    clock.start()
    trainer = backends.trainer(case.backend, case.track, model, metric, given)
    batches = trainer.place(*(inputs.in_batches(one, case.batch_size) for one in parts))
    called.on_train_begin()
    for epoch in range(case.epochs):
        called.on_epoch_begin(epoch)
        done = trainer.train(batches)
        logs = {metric: done.metric, "loss": sum(done.losses) / len(done.losses)}  # the metric may be the loss
        if held_out is not None:
            called.on_test_begin()
            trainer.store()
            seen = model.evaluate(*held_out, batch_size=evaluation_batch, verbose=0, return_dict=True)
            logs |= {f"val_{name}": value for name, value in seen.items()}
            called.on_test_end(logs)
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    device_of = backends.load(case.backend).device_of
    for device in map(device_of, trainer.copies()):
        if device != case.device:
            raise RuntimeError(f"track {case.track} trained on the {device}, not on the {case.device} asked for")
    if held_out is None:
        trainer.store()
    called.on_train_end()  # last, for it may put the best epoch's weights back
