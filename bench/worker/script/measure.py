"""A launch of a script: run as it is, the epochs of one of its fits timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bench.worker.errors import StartError
from bench.worker.logs import LOSS, entry
from bench.worker.process.launch import Launch, Rounds
from bench.worker.script.first_fit import Fit, check_built, is_arrays, metric_of, until_fit_is_done
from bench.worker.timing import memory
from bench.worker.timing.clock import EpochClock
from bench.worker.workload import load
from bench.worker.workload.build import check_device, resolved
from bench.worker.workload.record import check_finite, clock_settings, note_training
from models.own.script import Script


class Begin(keras.callbacks.Callback):
    """Lets training begin with the weights of the run: the last thing before the first epoch, when the model is built.

    `path` is the weights' file; None leaves what the script has drawn.
    """

    def __init__(self, launch: Launch) -> None:
        super().__init__()
        self._launch = launch

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        launch, model = self._launch, self.model
        check_built(model)
        if launch.weights is not None:
            weights = load.load_weights(launch.weights)
            if [one.shape for one in weights] != [tuple(one.shape) for one in model.weights]:
                raise StartError("its model has other weights here than in the run's first look at it")
            model.set_weights(weights)
        launch.record["weights_digest"] = load.weights_digest(model.get_weights())
        launch.record["parameters"] = model.count_params()
        check_device(launch, model)


class ScriptClock(EpochClock):
    """The epoch clock, for logs in which the metric has a name of the script's own."""

    def __init__(self, fit: Fit, **settings: Any) -> None:
        super().__init__("", **settings)
        self._fit = fit

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.metric = metric_of(self._fit, logs)
        super().on_epoch_end(epoch, logs)


def measure(launch: Launch, script: Script) -> Rounds:
    """Run the script, one of whose fits is the training; the steady epochs are the rounds."""
    case, record, phases = launch.case, launch.record, launch.record["phases"]
    keras.utils.set_random_seed(launch.seed)
    began = time.perf_counter()
    clocks: list[ScriptClock] = []

    def train(given: Fit) -> Any:
        fit, _ = given.built()
        phases["build"] = time.perf_counter() - began
        clock = ScriptClock(fit, **clock_settings(launch, fit.callbacks))
        clocks.append(clock)
        record["samples_per_epoch"] = case.samples
        record["batches_digest"] = _digest(fit)
        memory.reset_peak()  # what the script has done so far took memory that training does not
        launch.messenger.send("fit")
        called = time.perf_counter()
        clock.start()
        done = fit.call([Begin(launch), clock], epochs=fit.first_epoch + case.epochs)
        launch.backend.barrier()
        phases["fit"] = time.perf_counter() - called
        note_training(launch, fit.model, clock)
        own = {"jit_compile": fit.model.jit_compile, "optimizer": type(fit.model.optimizer).__name__}
        record["resolved"] = resolved(launch, fit.model, **own)
        launch.messenger.send("evaluate")
        return done

    evaluated = until_fit_is_done(script, train)
    (clock,) = clocks
    phases["evaluate"] = time.perf_counter() - began - phases["build"] - phases["fit"]
    check_finite(clock)
    record["test"] = _tested(clock, evaluated)
    return Rounds(
        group=f"{Path(script.path).name} {case.device} {case.track}",
        name=f"{Path(script.path).name}[{case.backend}]",
        seconds=[epoch.seconds for epoch in clock.epochs[1:]],
        extra_info={
            f"test_{clock.metric}": record["test"]["metric"],
            "cold_epoch_seconds": clock.epochs[0].seconds,
        },
    )


def _digest(fit: Fit) -> str:
    """The digest of the arrays that a fit is given, by which backends are seen to train on the same; else nothing."""
    given = [fit.arguments[name] for name in ("x", "y", "sample_weight")]
    if not is_arrays(given[0]):
        return ""
    leaves = [leaf for leaf in keras.tree.flatten(given) if leaf is not None]
    return load.digest(keras.ops.convert_to_numpy(leaf) for leaf in leaves)


def _tested(clock: ScriptClock, evaluated: Mapping[str, float] | None) -> dict[str, float]:
    """The record's `test`: of the script's own evaluation, else of the last validation, else of the training."""
    if evaluated:
        found = evaluated.get(clock.metric, entry(evaluated, LOSS))
        return {"metric": float(found), "loss": entry(evaluated, LOSS)}
    for epoch in reversed(clock.epochs):
        if epoch.validation_metric is not None and epoch.validation_loss is not None:
            return {"metric": epoch.validation_metric, "loss": epoch.validation_loss}
    last = clock.epochs[-1]
    return {"metric": last.metric, "loss": last.loss}
