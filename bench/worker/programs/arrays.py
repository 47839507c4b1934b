"""Once a run, before any launch: call a user's function that gives the data, and write them to the file of launches.

    python -m bench.worker.programs.arrays --backend jax --function FILE.py:NAME --output FILE.npz --answer FILE

It may give arrays, in two or four or as a mapping, or batches: a tf.data.Dataset, a PyDataset, a torch DataLoader, one
for training or a pair. The answer is `{}`, or `{"error": "one line"}`.
"""

from __future__ import annotations

import argparse
import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.worker.process import environment
from models.datasets import Part, npz

EXPECTED = (
    "expected (x, y), ((x_train, y_train), (x_test, y_test)), the four in a row, a mapping with these names, or "
    "batches of them, as a PyDataset or a framework's own data set gives, or a pair of these for training and test"
)


def main() -> None:
    """Write the file, or why there is none; the parent reads nothing else."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--function", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--answer", required=True, type=Path)
    given = parser.parse_args()
    environment.prepare(given.backend, "cpu", "float32")
    refusal = write(given.function, given.output)
    given.answer.write_text(json.dumps({"error": refusal} if refusal else {}), encoding="utf-8")


def write(function: str, output: Path) -> str:
    """Write what a function gives to a file, whole or not at all; gives in one line why there is none, or nothing."""
    from bench.worker.errors import StartError, reason

    try:
        npz.save(output, arrays_by_name(called(function), function))
    except StartError as error:
        return str(error)
    except Exception as error:  # whatever a user's function raises
        traceback.print_exc()
        return f"{function}: {reason(error)}"
    return ""


def called(function: str) -> Any:
    """What the function gives."""
    from bench.worker.errors import StartError
    from models import own

    path, _, name = function.rpartition(":")
    module = own.import_file(path)
    if not callable(getattr(module, name, None)):
        raise StartError(f"{function}: there is no such function once the file is imported")
    return getattr(module, name)()


def arrays_by_name(found: Any, function: str) -> dict[str, Any]:
    """What a function gave as arrays, under the names that an `.npz` file has them by; StartError for anything else."""
    from bench.worker.errors import StartError

    parts = dict(found) if isinstance(found, Mapping) else _parts(found)
    if not {"x_train", "y_train"} <= parts.keys():
        raise StartError(f"{function}: gives {type(found).__name__}; {EXPECTED}")
    return npz.named({name: _structure(one) for name, one in parts.items() if one is not None})


def _parts(found: Any) -> dict[str, Any]:
    if _is_batches(found):
        return _trained(*_read(found))
    if not isinstance(found, tuple | list):
        return {}
    if len(found) == 2 and all(map(_is_batches, found)):
        return _trained(*_read(found[0])) | _tested(*_read(found[1]))
    if len(found) == 2 and all(isinstance(one, tuple) for one in found):
        return _trained(*found[0]) | _tested(*found[1])
    if len(found) == 4:
        return dict(zip(npz.PARTS, found, strict=True))
    return _trained(*found) if len(found) in (2, 3) else {}


def _trained(x: Any, y: Any, weight: Any = None) -> dict[str, Any]:
    return {"x_train": x, "y_train": y, npz.WEIGHT: weight}


def _tested(x: Any, y: Any, _weight: Any = None) -> dict[str, Any]:
    return {"x_test": x, "y_test": y}


def _is_batches(found: Any) -> bool:
    """Whether this gives batches, and is no array and no structure of arrays."""
    if isinstance(found, Mapping | tuple | list) or hasattr(found, "shape"):
        return False
    return hasattr(found, "__iter__") or hasattr(found, "__getitem__")


def _read(batches: Any) -> tuple[Any, ...]:
    """All batches as one: samples, labels and, where there are some, weights."""
    import keras

    from bench.worker.errors import StartError

    if isinstance(batches, keras.utils.PyDataset):
        if batches.num_batches is None:
            raise StartError("its PyDataset has no end: __len__ says how many batches there are")
        every: Any = (batches[index] for index in range(batches.num_batches))
    else:
        if hasattr(batches, "cardinality") and int(batches.cardinality()) == -1:
            raise StartError("its data set has no end; give it .take(STEPS), or leave .repeat() out")
        every = batches
    found = [keras.tree.map_structure(keras.ops.convert_to_numpy, tuple(batch)) for batch in every]
    if not found:
        raise StartError("its data set has no batches")
    return tuple(keras.tree.map_structure(lambda *one: np.concatenate(one), *found))


def _structure(part: Any) -> Part:
    """A list of arrays is several inputs; one of numbers is an array."""
    return tuple(part) if isinstance(part, list) and hasattr(part[0], "shape") else part


if __name__ == "__main__":
    main()
