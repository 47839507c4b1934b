"""A training on several devices: what of it is not supported, what it hands to `fit`, and what a record says of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import keras

from bench.worker import backends
from bench.worker.errors import StartError
from bench.worker.process.launch import Launch
from bench.worker.workload.model import compilation, compile_model, fixed_batch, fresh
from models import Workload, own
from models.datasets import Part


def refused(workload: Workload, model: keras.Model) -> str:
    """Why a workload is not trained on several devices; empty where it is."""
    if workload.validation_split:
        return "it holds out samples, which are evaluated on one device"
    if workload.callbacks or workload.early_stopping:
        return "its callbacks would be called by each device's process"
    if own.has_own_step(model):
        return "its model has a train_step of its own, which knows nothing of other devices"
    fixed = fixed_batch(model)
    return f"its model takes batches of {fixed}, which cannot be shared" if fixed else ""


def scope(team: backends.Team | None) -> AbstractContextManager[Any]:
    """Within, a model is built and compiled for all devices of a launch."""
    return team.scope() if team else contextlib.nullcontext()


class Handed(NamedTuple):
    """What this process hands to `fit`, in batches of so many, and the callbacks that come before the clock."""

    parts: tuple[Any, ...]
    batch_size: int
    before: Sequence[keras.callbacks.Callback] = ()


def handed(launch: Launch, workload: Workload, model: keras.Model, parts: tuple[Any, ...]) -> Handed:
    """What is trained on here of `parts`, which all devices share; without a team all of it, as it is.

    Lets the gradients of a compiled model be averaged. StartError for what is not trained on several devices.
    """
    team = launch.team
    if team is None:
        return Handed(parts, launch.case.batch_size)
    reason = refused(workload, model)
    if launch.validation_split:
        reason = "held-out samples are evaluated on one device"
    if reason:
        raise StartError(f"--device-count {launch.case.device_count}: {reason}")
    team.joined(model)
    return Handed(*team.share(parts, launch.case.batch_size), team.callbacks(model))


def note_devices(launch: Launch, model: keras.Model, parts: Sequence[Any]) -> dict[str, Any]:
    """What `resolved` says of the devices after training; `parts` are what all of them were handed together.

    Every process of the team calls it. RuntimeError where they do not hold the same trained weights.
    """
    team = launch.team
    if team is None:
        return {}
    found = {"devices": list(team.holders(model, parts, launch.case.batch_size)), "averaged_by": team.by}
    unlike = list(team.unlike(model))
    spent, began = team.exchange_seconds(), time.perf_counter()
    team.feed(parts, launch.case.batch_size)
    launch.backend.barrier()
    launch.record["phases"] |= {"exchange": spent, "input": time.perf_counter() - began}
    return found | ({"unlike": unlike} if unlike else {})


@contextlib.contextmanager
def on_one_device(
    team: backends.Team | None, workload: Workload, model: keras.Model, parts: Sequence[Part]
) -> Iterator[keras.Model]:
    """A compiled copy of a trained model, to be evaluated on one device; without a team the model itself.

    `parts` are samples and labels like its own.
    """
    if team is None:
        yield model
        return
    weights = model.get_weights()
    with team.alone():
        copy = fresh(workload, parts[0])
        copy.set_weights(weights)
        compile_model(copy, compilation(workload, copy, parts[1]))
        yield copy
