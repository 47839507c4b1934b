"""What JAX's profiler says of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
from jax.extend.backend import get_backend

from bench.worker.backends import hlo
from bench.worker.backends.spans import Operation, Trace, newest, own_seconds

TRANSPOSED = "transpose("  # what a path of scopes has of the backward pass


def scope(name: str) -> AbstractContextManager[Any]:
    """See `backends.Profile`."""
    named: AbstractContextManager[Any] = jax.named_scope(name)
    return named


def trace(work: Callable[[], Any], folder: Path) -> Trace:
    """See `backends.Profile`. The trace names instructions; the compiled programs, where each comes from."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # every call of Python otherwise, which takes longer than what is looked at
    jax.profiler.start_trace(str(folder), profiler_options=options)
    try:
        work()
    finally:
        jax.profiler.stop_trace()
    found = newest(folder, "*.xplane.pb")
    assert found  # as stop_trace has written it
    data = jax.profiler.ProfileData.from_file(str(found))
    return Trace(list(operations(data)), newest(folder, "*.trace.json.gz") or found)


def operations(data: Any) -> Iterator[Operation]:
    """What a profile (`jax.profiler.ProfileData`) holds of what was computed."""
    programs = _Programs()
    for line in _lines(data):
        for instruction, seconds in own_seconds(line):
            yield Operation(*programs.place(*instruction), seconds)


class _Programs:
    """The compiled programs of this process by the names of their modules, each read when it is asked for."""

    def __init__(self) -> None:
        self._modules = {
            module.name: module for one in get_backend().live_executables() for module in one.hlo_modules()
        }
        self._read: dict[str, hlo.Program] = {}

    def place(self, instruction: str, module: str) -> tuple[str, str, bool]:
        """What an instruction is called, its scopes, and whether it is of the backward pass."""
        if module not in self._read:
            text = self._modules[module].to_string() if module in self._modules else ""
            self._read[module] = hlo.from_text(text)
        name, scopes = self._read[module].place(instruction)
        return name, scopes, TRANSPOSED in scopes


Spans = Iterator[tuple[float, float, tuple[str, str]]]  # begin, seconds, instruction and module


def _lines(data: Any) -> Iterator[Spans]:
    """The instructions on each of a device's streams; where no device was traced, on each of the host's threads."""
    planes = list(data.planes)
    streams = [
        line
        for plane in planes
        if plane.name.startswith("/device:")
        for line in plane.lines
        if line.name.startswith(("Stream", "XLA Ops"))
    ]
    host = [line for plane in planes if plane.name.startswith("/host:") for line in plane.lines]
    for line in streams or host:
        yield _spans(line, bool(streams))


def _spans(line: Any, all_of_them: bool) -> Spans:
    for event in line.events:
        told = {} if event.name.startswith(("end: ", "Threadpool")) else dict(event.stats)
        if all_of_them or "hlo_op" in told:
            what = str(told.get("hlo_op", event.name)), str(told.get("hlo_module", ""))
            yield event.start_ns / 1e9, event.duration_ns / 1e9, what
