"""Parity's recording half: one process climbs the ladder for every workload and seed on one backend.

    python -m bench.worker.programs.parity --backend torch --device cpu --numerics float64 --steps 300 --seeds 0,1 \
        --climbs fit-own,loop-own,fit-SGD,native-SGD --weights FOLDER --output FOLDER --workloads mlp cnn

A climb is a track and an optimizer: the workload's own, or momentum SGD, since `native` uses its library's Adam, which
places epsilon differently. Each workload, seed and climb leaves one file, named
`<number>-<workload>-seed<seed>-<backend>-<device>-<numerics>-<climb>.npz`, whose arrays are named `rung/location`;
`about` holds JSON: what was climbed, and in `error`, in one line, why it ended early. The comparing half is
bench/analysis/parity/compare.py, which says what each rung is for and how close it has to come.
"""

import argparse
import functools
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contract.messages import Messenger
from bench.contract.parity import LADDER_BATCH, ROUNDED_STEPS
from bench.worker import backends
from bench.worker.exact.observed import array, observed
from bench.worker.process import environment

OBSERVED = 8  # samples whose layer outputs and gradients are recorded
CHUNK = 256  # steps that a trainer is given at a time
SGD_RATE, SGD_MOMENTUM = 2**-7, 0.875  # at 2**-4 a transformer leaves every bound within 30 steps

Recording = dict[str, npt.NDArray[Any]]


class NotClimbedError(Exception):
    """A workload made for a GPU, or one that track `native` cannot take over, or whose draws it makes itself."""


def main() -> None:
    """Climb; the parent reads nothing but the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--backend", "--device", "--numerics"):
        parser.add_argument(name, required=True)
    parser.add_argument("--steps", required=True, type=int)
    parser.add_argument("--test-samples", type=int, default=0, help="the first N are predicted; default: all")
    parser.add_argument("--seeds", required=True, type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--climbs", default=["fit-own"], type=lambda text: text.split(","), help="TRACK-OPTIMIZER,…")
    parser.add_argument(
        "--weights", required=True, type=Path, help="the folder that bench.worker.programs.prepare wrote"
    )
    parser.add_argument("--output", required=True, type=Path, help="the folder for the recordings")
    parser.add_argument("--workloads", required=True, nargs="+")
    given = parser.parse_args()
    messenger = Messenger()
    backend = environment.prepare(given.backend, given.device, given.numerics)
    if given.device == "gpu":
        backend.make_deterministic()

    from bench.worker.errors import reason
    from bench.worker.exact import mode, randomness
    from bench.worker.keras_internals import MovedError

    try:
        if given.numerics == "float64":
            mode.enable(given.backend)
        randomness.install()
    except MovedError as error:
        messenger.send("failed", reason=str(error))
        raise
    common = {name: getattr(given, name) for name in ("backend", "device", "numerics", "steps", "test_samples")}
    common |= {"batch_size": LADDER_BATCH, "versions": environment.versions(given.backend), "flags": backend.flags()}
    for seed in given.seeds:  # outside, so that workloads with the same data set share its batches
        for (index, name), climbing in itertools.product(enumerate(given.workloads), given.climbs):
            stem = f"{index}-{Path(name).stem}-seed{seed}"
            track, _, optimizer = climbing.partition("-")
            about = {**common, "workload": name, "seed": seed, "track": track, "optimizer": optimizer}
            about |= {"error": "", "batches_digest": "", "unseen": [], "classes": False}
            recording: Recording = {}
            try:
                climb(recording, about, given.weights / f"{stem}.npz", backend)
            except NotClimbedError:
                continue  # the plan says why
            except Exception as error:  # whatever a user's model raises; the other workloads go on
                about["error"] = reason(error)
            place = f"{stem}-{given.backend}-{given.device}-{given.numerics}-{climbing}.npz"
            _save(given.output / place, recording, about)
            messenger.send("climbed", workload=name, seed=seed)


def climb(recording: Recording, about: dict[str, Any], weights: Path, backend: backends.Backend) -> None:
    """Fill `recording` with the rungs of one workload, seed and track, in their order; `about` gets the rest.

    Every rung starts from the same weights, random state and optimizer. With numerics other than float64 the ladder is
    short: what training has amplified for long says nothing about the arithmetic. Track `native` gives no layers'
    outputs, and its gradients are read from what one step of SGD does to the weights.
    """
    import keras

    from bench.worker.backends import network
    from bench.worker.workload import load, numerics

    workload = load.load_workload(about["workload"])
    if workload.memory_mib:
        raise NotClimbedError("it is made for a GPU")
    dataset, batches = _data(workload.dataset, about["seed"], about["steps"])
    about["batches_digest"] = batches.digest
    categorical = keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy
    about["classes"] = isinstance(workload.loss(), categorical)
    metric = workload.target.metric
    is_exact = about["numerics"] == "float64"

    keras.utils.clear_session(free_memory=False)  # names begin anew, so that every process gives the same paths
    numerics.choose(about["numerics"])  # forgotten with them
    keras.utils.set_random_seed(about["seed"])
    model = workload.build()
    model.set_weights(load.load_weights(weights))
    paths = [variable.path for variable in model.weights]
    state = [(variable, array(variable)) for variable in model.variables]  # those of random layers included

    def restart(scaled: bool = False) -> None:
        keras.utils.set_random_seed(about["seed"])
        for variable, value in state:
            variable.assign(value)
        sgd = keras.optimizers.SGD(SGD_RATE, momentum=SGD_MOMENTUM)
        optimizer = sgd if about["optimizer"] == "SGD" else workload.optimizer()
        compiled = {"loss": workload.loss(), "metrics": load.metrics(workload), "auto_scale_loss": scaled}
        model.compile(optimizer=optimizer, **compiled)
        model.optimizer.build(model.trainable_variables)

    def stepper(batch_size: int) -> Stepper:
        restart(scaled=True)  # with float16; loss and gradients are observed as they are
        if about["track"] == "fit":
            return _by_fit(model, batches, batch_size)
        return _by_trainer(about["backend"], about["track"], model, metric, batches, batch_size)

    def note(rung: str, locations: Sequence[str], values: Sequence[Any]) -> None:
        for location, value in zip(_distinct(locations), values, strict=True):
            found = array(value)
            if found.dtype.kind in "biufc":  # text is not computed with
                recording[f"{rung}/{location}"] = found

    restart()
    note("weights", paths, model.weights)
    trained = [variable.path for variable in model.trainable_variables]
    refused = network.refusals(model)[1] if about["optimizer"] == "SGD" else ""  # nobody else is held against SGD
    if refused:
        raise NotClimbedError(refused)
    if about["track"] == "native":
        losses = stepper(OBSERVED)(0, 1)
        before = {variable.path: value for variable, value in state}
        moved = [(before[one.path] - array(one)) / SGD_RATE for one in model.trainable_variables]
        note("loss", ["loss"], losses)
        note("gradients", trained, moved)
    else:
        _note_forward(model, batches, about, note)
        restart()
        loss, gradients = backend.gradients(model, *_observed_batch(batches))
        note("loss", ["loss"], [loss])
        note("gradients", trained, gradients)

    take, losses = stepper(LADDER_BATCH), []
    steps = about["steps"] if is_exact else min(about["steps"], ROUNDED_STEPS)
    for first in (0, *range(1, steps, CHUNK)):  # the first alone, for the rung after it
        losses += take(first, min(CHUNK, steps - first) if first else 1)
        recording["losses/loss"] = np.array(losses)
        if not first and is_exact:
            note("one step", paths, model.weights)
        if not math.isfinite(losses[-1]):
            return
    if is_exact:
        note("all steps", paths, model.weights)
        tested = slice(about["test_samples"] or None)
        outputs = model.predict(dataset.x_test[tested], batch_size=load.EVALUATION_BATCH, verbose=0)
        flat = keras.tree.flatten(outputs)
        note("predictions", [f"output {index}" for index in range(len(flat))], flat)
        model.reset_metrics()
        predicted = keras.tree.map_structure(keras.ops.convert_to_tensor, outputs)
        result = model.compute_metrics(dataset.x_test[tested], dataset.y_test[tested], predicted)
        note("metric", [metric], [result[metric]])


Stepper = Callable[[int, int], list[float]]  # the first step's number and how many, to their losses


def _by_fit(model: Any, batches: Any, batch_size: int) -> Stepper:
    """Steps as `fit` takes them; the last is the first whose loss is no finite number."""

    def take(first: int, count: int) -> list[float]:
        losses = []
        for step in range(first, first + count):
            x, y = _batch(batches, step, batch_size)
            losses.append(float(model.train_on_batch(x, y, return_dict=True)["loss"]))
            if not math.isfinite(losses[-1]):
                break
        return losses

    return take


def _by_trainer(backend: str, track: str, model: Any, metric: str, batches: Any, batch_size: int) -> Stepper:
    """Steps of track `loop` or `native`, as many at a time as are asked for; the weights end up in the model."""
    from bench.worker.workload import train

    trainer = backends.trainer(backend, track, model, metric, train.defaults(backend, track))

    def take(first: int, count: int) -> list[float]:
        taken = [_batch(batches, step, batch_size) for step in range(first, first + count)]
        done = trainer.train(trainer.place(*(np.stack(parts) for parts in zip(*taken, strict=True))))
        trainer.store()
        losses = [float(loss) for loss in done.losses]
        finite = list(itertools.takewhile(math.isfinite, losses))
        return losses[: len(finite) + 1]

    return take


def _batch(batches: Any, step: int, batch_size: int) -> tuple[Any, Any]:
    first = step * batch_size % len(batches.x)
    return batches.x[first : first + batch_size], batches.y[first : first + batch_size]


def _observed_batch(batches: Any) -> tuple[Any, Any]:
    import keras

    x, y = (keras.ops.convert_to_tensor(part[:OBSERVED]) for part in (batches.x, batches.y))
    return x, y


def _note_forward(model: Any, batches: Any, about: dict[str, Any], note: Callable[..., None]) -> None:
    """The rung of the layers' outputs."""
    with observed() as seen:
        model(_observed_batch(batches)[0], training=True)
    shown = [(location, value) for location, value in seen if value is not None]
    note("outputs", [location for location, _ in shown], [value for _, value in shown])
    about["unseen"] = [location for location, value in seen if value is None]


@functools.lru_cache(maxsize=1)
def _data(name: str, seed: int, steps: int) -> tuple[Any, Any]:
    """A data set and its batches in the seed's order; of one that is drawn, as many as there are steps."""
    from bench.worker.workload import load

    dataset = load.load_dataset(name, steps * LADDER_BATCH)
    return dataset, load.batches(dataset, len(dataset.x_train), LADDER_BATCH, seed)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, the second of a kind with `#2` and so on."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return found


def _save(path: Path, recording: Recording, about: dict[str, Any]) -> None:
    """Write so that the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, about=np.array(json.dumps(about)), **recording)
    partial.replace(path)


if __name__ == "__main__":
    main()
