"""What an explanation needs of PyTorch."""

from typing import Any

from torch._dynamo.utils import counters


def compilations(model: Any) -> int:  # noqa: ARG001 - Dynamo tells of the whole process
    """See `backends.Explain`: graphs that `torch.compile` has made."""
    return int(counters["stats"]["unique_graphs"])


def tries_jit(on: bool) -> bool:
    """See `backends.Explain`. What Inductor compiles takes minutes, and is the search's matter, in track `tuned`."""
    return on
