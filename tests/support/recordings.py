"""Made-up recordings of ladders, for tests of what is done with them."""

import json

import numpy as np

GENERATOR = np.random.default_rng(0)
RUNGS = {
    "weights/dense/kernel": GENERATOR.normal(size=(3, 2)).astype(np.float32).astype(float),
    "weights/dense/bias": np.zeros(2),
    "outputs/flatten": GENERATOR.normal(size=(8, 3)),
    "outputs/dense": GENERATOR.normal(size=(8, 2)),
    "loss/loss": np.array(0.7),
    "gradients/dense/kernel": GENERATOR.normal(size=(3, 2)),
    "gradients/dense/bias": GENERATOR.normal(size=2),
    "one step/dense/kernel": GENERATOR.normal(size=(3, 2)),
    "losses/loss": np.linspace(0.7, 0.5, 5),
    "all steps/dense/kernel": GENERATOR.normal(size=(3, 2)),
    "predictions/output 0": GENERATOR.normal(size=(10, 2)),
    "metric/accuracy": np.array(0.8),
}
SHARED = ("weights", "one step", "losses", "all steps", "predictions", "metric")  # of several devices
SHORT = ("weights", "outputs", "loss", "gradients", "losses")


def about(**changes):
    """What a recording says of itself."""
    given = {"workload": "mlp", "backend": "torch", "device": "cpu", "numerics": "float64", "seed": 0, "track": "fit"}
    given |= {"optimizer": "own", "device_count": 1, "variant": "", "kinds": {}, "unlike": []}
    return {**given, "error": "", "batches_digest": "abc", "unseen": [], "classes": True, "labels": 10, **changes}


def save(folder, changes=None, **described):
    """Write a recording; `changes` maps a key to a new array, or to None to leave it out."""
    content = about(**described)
    exact = content["numerics"] == "float64"
    climbed = SHARED if content["device_count"] > 1 else tuple(key.partition("/")[0] for key in RUNGS)
    climbed = climbed if exact else SHORT
    arrays = {key: array for key, array in RUNGS.items() if key.partition("/")[0] in climbed}
    arrays = {key: array for key, array in {**arrays, **(changes or {})}.items() if array is not None}
    if not exact:
        arrays = {key: array.astype(np.float32) for key, array in arrays.items()}
    said = ("workload", "seed", "backend", "device", "numerics", "track", "optimizer", "device_count", "variant")
    usual = {"device_count": 1, "variant": ""}
    name = "-".join(str(content[key]) for key in said if content[key] != usual.get(key))
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{name}.npz", about=np.array(json.dumps(content)), **arrays)
    return folder / f"{name}.npz"


def ladder(backend="torch", numerics="float64", **changes):
    """What run.json says of one ladder."""
    given = {"backend": backend, "device": "cpu", "numerics": numerics, "skip": None, "status": "ok", "reason": ""}
    return {**given, "wall_seconds": 3.0, **changes}


def description(ladders, seeds=(0,), workloads=("mlp",)):
    """The run.json of a run that climbed these ladders."""
    machine = {"cpu": "", "logical_cpus": 2, "memory_mib": 1024, "system": "", "gpus": [], "flags": {}}
    target = {"metric": "accuracy", "value": None, "source": "", "margin": 0.005}
    given = {"test_samples": 10, "batch_size": 128, "quick_samples": 64, "target": target, "without_native_ladder": ""}
    return {
        "schema": 2,
        "id": "made-up",
        "state": "finished",
        "reference": "jax",
        "launches": 1,
        "machine": machine,
        "plan": [],
        "workloads": [{"workload": name, **given} for name in workloads],
        "parity": {"steps": 5, "seeds": list(seeds), "test_samples": None, "ladders": ladders},
    }
