"""What only PyTorch is handed; see `Inputs`."""

from collections.abc import Mapping
from typing import Any

import keras
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset

from bench.worker.backends import Maker, placed


def resident(x: Any, y: Any) -> Mapping[str, Any]:
    """See `Inputs`."""
    return {"x": DataLoader(placed(x, y, False, keras.ops.convert_to_tensor), batch_size=None)}


def _data_loader(x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    samples = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    # A sampler of whole batches: one gather each, where a DataLoader otherwise fetches and stacks sample by sample.
    sampler = BatchSampler(SequentialSampler(samples), batch_size, drop_last=True)
    return {"x": DataLoader(samples, sampler=sampler, batch_size=None)}


MAKERS: Mapping[str, Maker] = {"DataLoader": _data_loader}
