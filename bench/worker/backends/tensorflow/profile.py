"""What TensorFlow's profiler says of a training."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from bench.worker.backends import hlo
from bench.worker.backends.spans import Operation, Trace, newest, own_seconds

KERNEL = re.compile(r"([\w./>-]+):(\w+)")  # an operation as the executor names it: path and type
LAUNCHES = ("_XlaRun", "XlaLaunch", "_XlaCompile")  # they wait for the instructions of a compiled program
TAPE = "gradient_tape"  # the scope of the backward pass
PICOSECONDS = 1e-12

Spans = Iterator[tuple[float, float, Mapping[str, Any]]]  # begin, seconds, and what is told with the event's name


def scope(name: str) -> AbstractContextManager[Any]:
    """See `backends.Profile`."""
    named: AbstractContextManager[Any] = tf.name_scope(name)
    return named


def trace(work: Callable[[], Any], folder: Path) -> Trace:
    """See `backends.Profile`."""
    tf.profiler.experimental.start(str(folder))
    try:
        work()
    finally:
        tf.profiler.experimental.stop()
    found = newest(folder, "*.xplane.pb")
    assert found  # as stop has written it
    space = xplane_pb2.XSpace()
    space.ParseFromString(found.read_bytes())
    return Trace(list(operations(space)), _for_perfetto(space, found.with_suffix("").with_suffix(".trace.json.gz")))


def operations(space: Any) -> Iterator[Operation]:
    """What a profile (`XSpace`) holds of what was computed."""
    programs = _programs(space)
    for line in _lines(space):
        for told, seconds in own_seconds(line):
            if place := _place(told, programs):
                yield Operation(*place, seconds)


def _place(told: Mapping[str, Any], programs: Mapping[str, hlo.Program]) -> tuple[str, str, bool] | None:
    """What an operation is called, its scopes and whether it is of the backward pass; None for what only waits."""
    if "hlo_op" in told:
        program = programs.get(str(told.get("hlo_module")), hlo.Program({}, {}))
        name, scopes = program.place(str(told["hlo_op"]))
    else:
        kernel = KERNEL.fullmatch(str(told.get("tf_op", told["name"])))
        scopes, name = kernel.groups() if kernel else ("", told["name"])
    return None if name in LAUNCHES else (name, scopes, TAPE in scopes)


def _lines(space: Any) -> Iterator[Spans]:
    """The operations on each of a device's streams; where no device was traced, on each of the host's threads."""
    streams = [
        (plane, line)
        for plane in space.planes
        if plane.name.startswith("/device:")
        for line in plane.lines
        if line.name.startswith("Stream")
    ]
    host = [(plane, line) for plane in space.planes if plane.name.startswith("/host:CPU") for line in plane.lines]
    for plane, line in streams or host:
        yield _spans(plane, line, bool(streams))


def _spans(plane: Any, line: Any, all_of_them: bool) -> Spans:
    names = {number: one.name for number, one in plane.stat_metadata.items()}
    for event in line.events:
        told = {names[stat.metadata_id]: _value(stat, names) for stat in event.stats}
        told["name"] = plane.event_metadata[event.metadata_id].name
        if all_of_them or "hlo_op" in told or KERNEL.fullmatch(told["name"]):
            yield event.offset_ps * PICOSECONDS, event.duration_ps * PICOSECONDS, told


def _value(stat: Any, names: Mapping[int, str]) -> Any:
    """What a number or a text says; a text that comes often stands among the names."""
    kind = stat.WhichOneof("value")
    value = getattr(stat, kind)
    return names.get(value, "") if kind == "ref_value" else value


def _programs(space: Any) -> Mapping[str, hlo.Program]:
    """What XLA has compiled, by the name of the module, as the trace holds it."""
    found = {}
    for plane in space.planes:
        if plane.name == "/host:metadata":
            for one in plane.event_metadata.values():
                for stat in one.stats:
                    if stat.WhichOneof("value") == "bytes_value":
                        proto = hlo_pb2.HloProto.FromString(stat.bytes_value)
                        found[proto.hlo_module.name] = _program(proto.hlo_module)
    return found


def _program(module: Any) -> hlo.Program:
    computations = {one.id: one for one in module.computations}
    names = {each.id: each.name for one in module.computations for each in one.instructions}
    instructions = {
        each.name: hlo.Instruction(
            each.metadata.op_name,
            [
                *(names[number] for number in each.operand_ids if number in names),
                *(computations[number].name for number in each.called_computation_ids if number in computations),
            ],
        )
        for one in module.computations
        for each in one.instructions
    }
    return hlo.Program(
        instructions, {one.name: [each.name for each in one.instructions] for one in module.computations}
    )


def _for_perfetto(space: Any, path: Path) -> Path:
    """Write the trace in the form that Perfetto opens too; TensorBoard has that of the profiler beside it."""
    events: list[dict[str, Any]] = []
    for process, plane in enumerate(space.planes):
        events.append({"ph": "M", "name": "process_name", "pid": process, "args": {"name": plane.name}})
        for thread, line in enumerate(plane.lines):
            place = {"pid": process, "tid": thread}
            events.append({"ph": "M", "name": "thread_name", **place, "args": {"name": line.name}})
            for event in line.events:
                name, begin = plane.event_metadata[event.metadata_id].name, line.timestamp_ns / 1e3
                times = {"ts": begin + event.offset_ps / 1e6, "dur": event.duration_ps / 1e6}
                events.append({"ph": "X", "name": name, **place, **times})
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump({"traceEvents": events}, file)
    return path
