"""What a launch of task train says of its training, whoever called `fit`: the clock's settings, and what it saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from bench.worker.backends import Team
from bench.worker.errors import StartError
from bench.worker.process.launch import Launch
from bench.worker.timing import gauges, nvml
from bench.worker.timing.callback_time import CallbackTime
from bench.worker.timing.clock import Epoch, EpochClock
from bench.worker.timing.gauges import Counters
from bench.worker.workload.build import check_device, memory_used

LEAST_EPOCHS = 2  # the first is cold


def clock_settings(launch: Launch, callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, Any]:
    """The arguments of a launch's clock besides the metric; `callbacks` are the others, whose cost it tells apart."""

    def tell(index: int, epoch: Epoch) -> None:
        launch.messenger.send("epoch", epoch=index, seconds=epoch.seconds, loss=epoch.loss, metric=epoch.metric)

    on_gpu, team = launch.case.device == "gpu", launch.team
    return {
        **({"counters": lambda: _of_all(team)} if team else {}),
        "barrier": launch.backend.barrier,
        "notify": tell,
        "gpu": nvml.gauge() if on_gpu else nvml.nothing,
        "synchronize": launch.backend.synchronize if on_gpu else None,
        "callback_seconds": CallbackTime(callbacks).read,
        "epochs": launch.case.epochs,
    }


def _of_all(team: Team) -> Counters:
    """The counters of this process, to whose CPU time that of the launch's others is added."""
    found = gauges.counters()
    return found._replace(cpu_seconds=found.cpu_seconds + team.cpu_seconds())


def note_training(launch: Launch, model: keras.Model, clock: EpochClock) -> None:
    """Put what the clock saw into the record. Before any evaluation, whose larger batches would add to the peak.

    Raises StartError where there is no steady epoch, RuntimeError where the times are not right, or where a variable
    lives on another device than was asked for.
    """
    if len(clock.epochs) < LEAST_EPOCHS:
        raise StartError(
            "its training was ended after its first epoch, by a callback or a step: that one is cold, and none is left "
            "to time"
        )
    record = launch.record
    record["setup_seconds"] = clock.setup_seconds
    record["epochs"] = [epoch.to_json() for epoch in clock.epochs]
    record["stopped_early"] = len(clock.epochs) < launch.case.epochs
    record["memory"] = memory_used(launch, [epoch.noise.gpu.gpu_mib for epoch in clock.epochs])
    clock.check_drained()
    check_device(launch, model)


def check_finite(clock: EpochClock) -> None:
    """Raise ArithmeticError where an epoch's loss is no number."""
    for index, epoch in enumerate(clock.epochs, start=1):
        if not math.isfinite(epoch.loss):
            raise ArithmeticError(f"the loss is {epoch.loss} after epoch {index}")
