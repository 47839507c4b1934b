"""The model of a launch: built, with its initial weights, on the device that was asked for; and what was in force."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from bench.worker.process import environment
from bench.worker.process.launch import Launch
from bench.worker.timing import memory
from bench.worker.workload import load, numerics
from bench.worker.workload.model import fresh
from models import Workload


def build(launch: Launch, workload: Workload, samples: load.Array) -> keras.Model:
    """A workload's model with the launch's initial weights; it takes samples like these, of shape (samples, …)."""
    keras.utils.set_random_seed(launch.seed)
    numerics.choose(launch.case.numerics)
    if launch.weights is None:
        return fresh(workload, samples)
    with launch.backend.cached_weight_init(launch.weights.parent / "compiled"):
        model = fresh(workload, samples)  # its weights are drawn in vain
    model.set_weights(load.load_weights(launch.weights))
    return model


def check_device(launch: Launch, model: keras.Model) -> None:
    """Raise RuntimeError where a variable, of the optimizer's too, is not on the case's device."""
    for path, found in _devices(launch, model):
        if found != launch.case.device:
            raise RuntimeError(f"{path} lives on the {found}, not on the {launch.case.device} that was asked for")


def _devices(launch: Launch, model: keras.Model) -> Iterator[tuple[str, str]]:
    """The path of each variable, the optimizer's too, and the device it lives on.

    Single numbers and whole ones are left out: a framework may keep counters and seeds on the host.
    """
    optimizer = getattr(model, "optimizer", None)
    for variable in (*model.variables, *(optimizer.variables if optimizer else ())):
        if len(variable.shape) and "float" in str(variable.dtype):
            yield variable.path, launch.backend.device_of(variable.value)


def memory_used(launch: Launch, held_mib: Sequence[float | None]) -> dict[str, float | None]:
    """The record's `memory`, in MiB: the host's, and the device's as the framework and as the driver count it."""
    told = [held for held in held_mib if held is not None]
    return {
        "peak_host_mib": memory.peak_host_mib(),
        "peak_device_mib": launch.backend.peak_device_mib(),
        "peak_device_nvml_mib": max(told, default=None),
    }


def resolved(launch: Launch, model: keras.Model, **more: Any) -> dict[str, Any]:
    """The settings in force, read back rather than repeated from the options; `more` are this task's own."""
    return {
        **launch.knobs,
        **more,
        "run_eagerly": model.run_eagerly,
        "dtype_policy": model.dtype_policy.name,
        **numerics.in_force(model.dtype_policy),
        "device": " and ".join(sorted({device for _, device in _devices(launch, model)})),
        "threads": environment.threads(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "flags": launch.backend.flags(),
    }
