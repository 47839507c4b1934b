"""What PyTorch's profiler says of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from bench.worker.backends.spans import HOME, Operation, Trace

FILE = "torch.pt.trace.json.gz"
BACKWARD, USER = 1, 7  # of torch's RecordScope: a node of the backward pass, and a range that Python has opened
EVALUATED = "autograd::engine::evaluate_function: "  # an event around such a node


def scope(name: str) -> AbstractContextManager[Any]:
    """See `backends.Profile`."""
    named: AbstractContextManager[Any] = record_function(name)
    return named


def trace(work: Callable[[], Any], folder: Path) -> Trace:
    """See `backends.Profile`. Of a GPU the kernels count, each as the operation that has started it."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as seen:
        work()
    folder.mkdir(parents=True, exist_ok=True)
    seen.export_chrome_trace(str(folder / FILE))
    events = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CPU]
    return Trace(list(operations(events)), folder / FILE)


def operations(events: Sequence[Any]) -> Iterator[Operation]:
    """What a profile's events on the host hold of what was computed.

    A range that Python has opened is no operation: it is there to name what is within it.
    """
    made_in = _forward_scopes(events)
    on_device = any(event.kernels for event in events)
    for event in events:
        if event.scope == USER:
            continue
        seconds = sum(kernel.duration for kernel in event.kernels) if on_device else event.self_cpu_time_total
        if seconds or not on_device:
            node = _backward_node(event)
            scopes = _scopes(event) if node is None else made_in.get(node.sequence_nr, "")
            yield Operation(event.name.removeprefix(EVALUATED), scopes, node is not None, seconds / 1e6)


def _forward_scopes(events: Sequence[Any]) -> Mapping[int, str]:
    """In which scopes each node of the backward pass was made, by its number.

    Every operation of the forward pass bears the number of the node that comes next; the last of them makes it.
    """
    forward = [event for event in events if event.sequence_nr >= 0 and _backward_node(event) is None]
    return {event.sequence_nr: _scopes(event) for event in sorted(forward, key=lambda event: event.time_range.start)}


def _chain(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent


def _backward_node(event: Any) -> Any:
    """The node of the backward pass that an event is, or is within; None in the forward pass."""
    nodes = (one for one in _chain(event) if one.scope == BACKWARD or one.name.startswith(EVALUATED))
    return next(nodes, None)


def _scopes(event: Any) -> str:
    """The innermost scope that an explanation has opened around an event."""
    return next((one.name for one in _chain(event) if one.scope == USER and HOME.match(one.name)), "")
