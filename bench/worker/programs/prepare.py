"""Once a run, before any launch: describe the workloads as JSON, check their data, draw the initial weights.

    python -m bench.worker.programs.prepare --backend jax --workloads mlp cnn --seeds 0,1,2 --weights FOLDER \
        --output FILE

The file holds `{"backend": …, "workloads": [description, …], "own": [path, …], "elsewhere": [path, …]}`, the files of
the user's that they need as bench.worker.workload.own_files has them, or `{"workload": name, "error": "one line"}`
where one cannot be used.
"""

import argparse
import json
import math
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.contract.parity import LADDER_BATCH
from bench.worker.process import environment
from models.datasets import count, taken

CALIBRATION_STEPS = 3
ASSUMED_FLOPS = 1e13  # a second, of a GPU: steps of a workload made for one would take this process minutes
NOT_BUILT: Mapping[str, Any] = {
    "parameters": None,
    "step_seconds": None,
    "step_flops": None,
    "uncounted": [],
    "without_loop": "",
    "without_native": "",
    "without_native_ladder": "",
    "without_devices": "",
    "without_generate": "generate takes a model that could be built to prepare the run",
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
    from bench.worker.workload.own_files import OwnFiles, Watch, needed
    from models.own import imports

    watch, files = Watch(), OwnFiles(set(), set())
    try:
        described, name = [], ""
        for index, name in enumerate(given.workloads):
            prefix = given.weights and given.weights / f"{index}-{Path(name).stem}"
            begun = len(imports.roots)
            described.append(describe(name, given.seeds, prefix, given.memory_mib))
            files = OwnFiles(*map(set.union, files, needed(watch, imports.roots[begun:])))
        result: dict[str, Any] = {"backend": given.backend, "workloads": described}
        result |= {what: sorted(paths) for what, paths in files._asdict().items()}
    except StartError as error:
        if error.__cause__:  # what a user's code raised
            traceback.print_exc()
        result = {"workload": name, "error": str(error)}
    given.output.write_text(json.dumps(result), encoding="utf-8")


def describe(name: str, seeds: Iterable[int], prefix: Path | None, memory_mib: float = math.inf) -> dict[str, Any]:
    """What plan and report need to know of a workload, with the digest of its initial weights for each seed.

    The weights are written to `<prefix>-seed<seed>.npz`; without a prefix none are drawn. A workload that needs more
    than `memory_mib` is not built, since it will not run, and what only the model shows is None.
    """
    import keras

    from bench.worker.backends import network
    from bench.worker.workload import decoder, devices, load, target
    from bench.worker.workload.check import check, check_samples, unused
    from bench.worker.workload.compiled import in_words, says_direction
    from models import Workload

    keras.utils.clear_session(free_memory=False)  # names begin anew, as in every launch
    workload = load.load_workload_or_script(name)
    if not isinstance(workload, Workload):
        from bench.worker.script.describe import describe as describe_script

        return describe_script(name, workload, seeds, prefix)
    drawn = max(workload.batch_size, LADDER_BATCH)  # of a data set that is drawn, more is not looked at
    dataset = load.dataset_of(workload, drawn)
    if workload.memory_mib > memory_mib:
        assert workload.target  # a user's own model says nothing of memory
        return {**_declared(name, workload, dataset), "target": target.declared(workload.target, dataset), **NOT_BUILT}
    model = _build(name, workload, dataset)
    check_samples(name, model, workload.batch_size, dataset)
    given = _compilation(name, workload, model, dataset)
    notes = check(name, given, model.compiled, model, _outputs(name, model, dataset), dataset)
    notes += unused(model, dataset)
    digests = {}
    if prefix is not None:
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            path = prefix.with_name(f"{prefix.name}-seed{seed}.npz")
            digests[str(seed)] = load.save_weights(path, _build(name, workload, dataset).get_weights())
    counted = _flops(model, dataset, workload.batch_size)
    _compile(name, model, given)
    if workload.target is None:
        compared = target.found(name, workload, given, model, dataset)
        notes.append(f"is trained with {in_words(given, _weights(workload, dataset), model)}")
        metric, better = compared["metric"], "less" if compared["lower_is_better"] else "more"
        if not says_direction(given, metric):
            notes.append(f"is compared by {metric}, of which {better} is taken as better, judged by its name")
    else:
        compared = target.declared(workload.target, dataset)
    guessed = (counted["step_flops"] or 0) / ASSUMED_FLOPS if workload.memory_mib else None
    return {
        **_declared(name, workload, dataset),
        "target": compared,
        "parameters": model.count_params(),
        "step_seconds": _step_seconds(name, model, workload, dataset) if guessed is None else guessed,
        **counted,
        "without_loop": network.refused_by_loop(model),
        **dict(zip(("without_native", "without_native_ladder"), network.refusals(model), strict=True)),
        "without_devices": devices.refused(workload, model),
        **decoder.described(model, dataset.x_test),
        "weights": digests,
        "notes": notes,
    }


def _declared(name: str, workload: Any, dataset: Any) -> dict[str, Any]:
    """What is known of a workload without its model."""
    from bench.worker.workload import load

    samples = load.training_samples(workload.dataset, dataset)
    return {
        "workload": name,
        "dataset": workload.dataset,
        "train_samples": samples,
        "test_samples": count(dataset.x_test),
        "batch_size": workload.batch_size,
        "epochs": workload.epochs,
        "quick_samples": min(workload.quick_samples, samples),
        "cpu_samples": workload.cpu_samples,
        "drawn": load.is_synthetic(workload.dataset),
        "memory_mib": workload.memory_mib,
    }


def _weights(workload: Any, dataset: Any) -> list[str]:
    """The kinds of weights by which its samples count."""
    if workload.class_weight:
        return ["class weights"]
    return ["sample weights"] if dataset.sample_weight is not None else []


def _build(name: str, workload: Any, dataset: Any) -> Any:
    from bench.worker.errors import StartError, reason
    from bench.worker.workload.model import fresh
    from models.own import ModelError

    try:
        model = fresh(workload, dataset.x_train)
    except ModelError as error:
        raise StartError(str(error)) from None
    except Exception as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not build: {reason(error)}") from error
    if not model.trainable_weights:
        there = "only frozen weights" if model.weights else "no weights"
        raise StartError(f"workload {name}: its model has {there}; give it a layer that learns")
    return model


def _compilation(name: str, workload: Any, model: Any, dataset: Any) -> Any:
    from bench.worker.errors import StartError, reason
    from bench.worker.workload.model import compilation
    from models.own import ModelError

    try:
        return compilation(workload, model, dataset.y_train)
    except ModelError as error:
        raise StartError(str(error)) from None
    except Exception as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not train: {reason(error)}") from error


def _outputs(name: str, model: Any, dataset: Any) -> Any:
    from bench.worker.errors import StartError, reason
    from bench.worker.workload.check import OBSERVED
    from bench.worker.workload.model import fixed_batch

    before = len(model.weights)
    try:  # a subclassed model does not know its output's shape before
        outputs = model(taken(dataset.x_train, slice(fixed_batch(model) or OBSERVED)))
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
        found = flops.step_flops(model, taken(dataset.x_train, slice(1)), batch_size)
    except MovedError as error:
        return {"step_flops": None, "uncounted": [str(error)]}
    return {"step_flops": found.flops, "uncounted": list(found.uncounted)}


def _compile(name: str, model: Any, given: Any) -> None:
    from bench.worker.errors import StartError, reason
    from bench.worker.workload.model import compile_model

    try:
        compile_model(model, given)
    except Exception as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not train: {reason(error)}") from error


def _step_seconds(name: str, model: Any, workload: Any, dataset: Any) -> float:
    """Seconds one training step takes here, roughly: only for the time that a run is expected to take.

    On a backend that cannot train a call counts instead.
    """
    import keras

    from bench.worker import backends
    from bench.worker.errors import StartError, reason
    from bench.worker.workload.model import hand_as_fit, tensors

    hand_as_fit(model)
    given = tuple(taken(part, slice(workload.batch_size)) for part in dataset[:2])
    seconds, trains = [], backends.trains(keras.backend.backend())
    batch = tuple(map(tensors, given)) if trains else given
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
