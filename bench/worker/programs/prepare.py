"""Once a run, before any launch: describe the workloads as JSON, check their data, draw the initial weights.

    python -m bench.worker.programs.prepare --backend jax --workloads mlp cnn --seeds 0,1,2 --weights FOLDER \
        --output FILE

The file holds `{"backend": …, "workloads": [description, …]}`, or `{"error": "one line"}` where one cannot be used.
"""

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.contract.parity import LADDER_BATCH
from bench.worker.process import environment

CALIBRATION_STEPS = 3
MARGIN_OF_VARIANCE = 0.005  # half a percent of what always predicting the mean gives
ASSUMED_FLOPS = 1e13  # a second, of a GPU: steps of a workload made for one would take this process minutes
NOT_BUILT: Mapping[str, Any] = {
    "parameters": None,
    "step_seconds": None,
    "step_flops": None,
    "uncounted": [],
    "without_native": "",
    "without_native_ladder": "",
    "weights": {},
    "notes": [],
}


def main() -> None:
    """Write the descriptions; the parent reads nothing but the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--workloads", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--weights", type=Path, help="the folder for the weights; default: none are drawn")
    parser.add_argument("--memory-mib", required=True, type=float, help="what needs more is not built")
    parser.add_argument("--output", required=True, type=Path)
    given = parser.parse_args()
    environment.prepare(given.backend, "cpu", "float32")

    from bench.worker.errors import StartError

    try:
        described = []
        for index, name in enumerate(given.workloads):
            prefix = given.weights and given.weights / f"{index}-{Path(name).stem}"
            described.append(describe(name, given.seeds, prefix, given.memory_mib))
        result: dict[str, Any] = {"backend": given.backend, "workloads": described}
    except StartError as error:
        result = {"error": str(error)}
    given.output.write_text(json.dumps(result), encoding="utf-8")


def describe(name: str, seeds: Iterable[int], prefix: Path | None, memory_mib: float = math.inf) -> dict[str, Any]:
    """What plan and report need to know of a workload, with the digest of its initial weights for each seed.

    The weights are written to `<prefix>-seed<seed>.npz`; without a prefix none are drawn. A workload that needs more
    than `memory_mib` is not built, since it will not run, and what only the model shows is None.
    """
    import keras

    from bench.worker.backends import network
    from bench.worker.workload import load
    from bench.worker.workload.check import check, check_samples

    workload = load.load_workload(name)
    drawn = max(workload.batch_size, LADDER_BATCH)  # of a data set that is drawn, more is not looked at
    dataset = load.load_dataset(workload.dataset, drawn)
    declared = _declared(name, workload, dataset)
    if workload.memory_mib > memory_mib:
        return {**declared, **NOT_BUILT}
    model = _build(name, workload)
    check_samples(name, model, dataset)
    notes = check(name, workload, model, _outputs(name, model, dataset), dataset)
    digests = {}
    if prefix is not None:
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            path = prefix.with_name(f"{prefix.name}-seed{seed}.npz")
            digests[str(seed)] = load.save_weights(path, _build(name, workload).get_weights())
    counted = _flops(model, dataset, workload.batch_size)
    _compile(name, model, workload)
    guessed = (counted["step_flops"] or 0) / ASSUMED_FLOPS if workload.memory_mib else None
    return {
        **declared,
        "parameters": model.count_params(),
        "step_seconds": _step_seconds(name, model, workload, dataset) if guessed is None else guessed,
        **counted,
        **dict(zip(("without_native", "without_native_ladder"), network.refusals(model), strict=True)),
        "weights": digests,
        "notes": notes,
    }


def _declared(name: str, workload: Any, dataset: Any) -> dict[str, Any]:
    """What is known of a workload without its model."""
    from bench.worker.workload import load
    from models.metrics import METRICS

    samples = load.training_samples(workload.dataset, dataset)
    return {
        "workload": name,
        "dataset": workload.dataset,
        "train_samples": samples,
        "test_samples": len(dataset.x_test),
        "batch_size": workload.batch_size,
        "epochs": workload.epochs,
        "quick_samples": min(workload.quick_samples, samples),
        "cpu_samples": workload.cpu_samples,
        "target": {
            **vars(workload.target),
            "margin": _margin(workload.target, dataset),
            "lower_is_better": METRICS[workload.target.metric].lower_is_better,
        },
        "drawn": load.is_synthetic(workload.dataset),
        "memory_mib": workload.memory_mib,
    }


def _margin(target: Any, dataset: Any) -> float:
    """The target's margin, in the metric's unit."""
    if target.margin is not None:
        return float(target.margin)
    return MARGIN_OF_VARIANCE * float(dataset.y_test.astype("float64").var(axis=0).mean())


def _build(name: str, workload: Any) -> Any:
    from bench.worker.errors import StartError, reason
    from models.own import ModelError

    try:
        model = workload.build()
        workload.loss()
    except ModelError as error:
        raise StartError(str(error)) from None
    except Exception as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not build: {reason(error)}") from error
    if not model.built or not model.weights:
        raise StartError(f"workload {name}: its model has no weights; give it a layer that learns, after keras.Input")
    return model


def _outputs(name: str, model: Any, dataset: Any) -> Any:
    from bench.worker.errors import StartError, reason
    from bench.worker.workload.check import OBSERVED

    before = len(model.weights)
    try:
        outputs = model(dataset.x_train[:OBSERVED])  # a subclassed model does not know its output's shape before
    except Exception as error:  # whatever a user's model raises
        raise StartError(f"workload {name} does not take its data: {reason(error)}") from error
    if len(model.weights) > before:  # they would be drawn anew on every backend
        late = model.weights[before].path
        raise StartError(
            f"workload {name}: {late} is made only when data comes; let build() call model(keras.Input(…))"
        )
    return outputs


def _flops(model: Any, dataset: Any, batch_size: int) -> dict[str, Any]:
    """Floating-point operations of a step on a batch of the workload's size; None where layers could not be counted."""
    from bench.worker.keras_internals import MovedError
    from bench.worker.workload import flops

    try:
        found = flops.step_flops(model, dataset.x_train[:1], batch_size)
    except MovedError as error:
        return {"step_flops": None, "uncounted": [str(error)]}
    return {"step_flops": found.flops, "uncounted": list(found.uncounted)}


def _compile(name: str, model: Any, workload: Any) -> None:
    from bench.worker.errors import StartError, reason
    from bench.worker.workload import load

    try:
        model.compile(optimizer=workload.optimizer(), loss=workload.loss(), metrics=load.metrics(workload))
    except Exception as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not train: {reason(error)}") from error


def _step_seconds(name: str, model: Any, workload: Any, dataset: Any) -> float:
    """Seconds one training step takes here, roughly: only for the time that a run is expected to take.

    On a backend that cannot train a call counts instead.
    """
    import keras

    from bench.worker import backends
    from bench.worker.errors import StartError, reason

    batch = dataset.x_train[: workload.batch_size], dataset.y_train[: workload.batch_size]
    seconds, trains = [], backends.trains(keras.backend.backend())
    try:
        for _ in range(CALIBRATION_STEPS):
            began = time.perf_counter()
            model.train_on_batch(*batch) if trains else model.predict_on_batch(batch[0])
            seconds.append(time.perf_counter() - began)
    except Exception as error:  # whatever a user's model raises
        raise StartError(f"workload {name} does not train: {reason(error)}") from error
    return min(seconds)


if __name__ == "__main__":
    main()
