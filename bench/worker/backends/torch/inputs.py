"""What PyTorch hands to `fit`; see `Inputs`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

from bench.worker.backends import Maker, placed
from models.datasets import count, mapped, taken


def as_guest() -> None:
    """Do nothing: a DataLoader's tensors lie in the host's memory, and torch touches no GPU before it is asked to."""


def resident(*parts: Any) -> Mapping[str, Any]:
    """See `Inputs`."""
    return {"x": DataLoader(placed(parts, False, keras.ops.convert_to_tensor), batch_size=None)}


class Samples(Dataset[Any]):
    """Samples, labels and weights, of which a whole batch is taken at a time."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = [mapped(torch.from_numpy, part) for part in parts]

    def __len__(self) -> int:
        return count(self._parts[0])

    def __getitem__(self, batch: list[int]) -> tuple[Any, ...]:
        return tuple(taken(part, batch) for part in self._parts)


def _data_loader(parts: Sequence[Any], batch_size: int) -> Mapping[str, Any]:
    samples = Samples(parts)
    # A sampler of whole batches: one gather each, where a DataLoader otherwise fetches and stacks sample by sample.
    sampler = BatchSampler(SequentialSampler(samples), batch_size, drop_last=True)
    return {"x": DataLoader(samples, sampler=sampler, batch_size=None)}


MAKERS: Mapping[str, Maker] = {"DataLoader": _data_loader}
