"""What JAX hands to `fit`; see `Inputs`."""

from collections.abc import Mapping
from typing import Any

import keras

from bench.worker.backends import Maker, placed

MAKERS: Mapping[str, Maker] = {}


def as_guest() -> None:
    """Do nothing: it has no input of its own."""


def resident(*parts: Any) -> Mapping[str, Any]:
    """Keras has nothing that is JAX's own to walk over, so it is handed a dataset of its own."""
    batches: list[tuple[Any, ...]] = placed(parts, False, keras.ops.convert_to_tensor)

    class Placed(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            return batches[index]

    return {"x": Placed()}
