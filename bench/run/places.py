"""The places of a run that is measured on a cluster: which nodes take part, and what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bench.contract.errors import UsageError
from bench.contract.machines import Machine
from bench.contract.typed import parse
from bench.machine import environments, nvidia
from bench.machine.fingerprint import memory_mib
from bench.machine.nvidia import Gpu
from bench.places.fleet import Fleet, told
from bench.places.node import Node, environment
from bench.places.place import Here, Place, label
from bench.plan.places import GPU
from bench.plan.planned import Limits
from bench.run.folder import nodes_of
from bench.run.gpus_of_nodes import divide, with_gpus
from bench.run.unlike import Kind, unlike
from bench.run.workflow import MeasuringRun, check_machine

TOLD = 3  # packages in which an environment differs, files that are not sent


def check_here(run: MeasuringRun) -> MeasuringRun:
    """Find the GPU that is measured, if it is one of this machine's."""
    return check_machine(run) if run.fleet is None else run


def find_nodes(run: MeasuringRun) -> MeasuringRun:
    """Start on the cluster's nodes and leave out those that differ; the others decide which devices there are.

    UsageError where none is left.
    """
    if run.fleet is None:
        return run
    fleet, pooled = run.fleet, run.options.pool_unlike
    fleet.begin(_wanted(run))
    for node in list(fleet.nodes):
        fault = _fault(run, node)
        if fault:
            fleet.leave_out(node.name, fault)
    nodes = {node.name: parse(Machine, node.facts["machine"]) for node in fleet.nodes}
    before = {} if run.continued is None else nodes_of(run.continued)
    for name, reason in {} if pooled else unlike(_kinds(nodes), _kinds(before)).items():
        fleet.leave_out(name, reason)
    for line in _laid(run, fleet):
        run.console.say(line)
    if run.options.per == GPU:
        cards = divide(fleet, pooled, before)
        nodes = {name: with_gpus(nodes[name], cards[name], before.get(name)) for name in cards}
    for line in told(fleet.refused, fleet.places):
        run.console.say(line)
    if not fleet.nodes:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(fleet.refused.items()))
        raise UsageError(f"--places {run.options.places}: no node can be measured on ({reasons})")
    nodes = {**before, **{node.name: nodes[node.name] for node in fleet.nodes}}
    return replace(_on_their_devices(run, fleet.places), nodes=nodes)


def places_of(run: MeasuringRun) -> list[Place]:
    """Where launches happen."""
    return [Here(run.prepared.python)] if run.fleet is None else list(run.fleet.places)


def _kinds(machines: Mapping[str, Machine]) -> dict[str, Kind]:
    return {name: machine.kind for name, machine in machines.items()}


def _wanted(run: MeasuringRun) -> dict[str, Any]:
    """What every node is asked to have."""
    options, wanted = run.options, []
    for variant in options.variants:
        for backend in options.backends:
            own = variant.pythons.get(backend) if variant.pythons else options.python.get(backend)
            wanted.append(environment(backend, variant.name, own, options.packages, variant.pins))
    asked: dict[str, Any] = {"device_counts": options.device_counts}
    asked |= {"each_gpu": options.per == GPU}
    asked |= {"gpu": options.gpu, "shared": options.shared_gpu, "devices": options.devices, "keep": options.pass_env}
    return {"environments": wanted, **asked}


def _fault(run: MeasuringRun, node: Node) -> str:
    """Why a node cannot be measured on: an environment is missing there, or is another than here; empty else."""
    for variant in run.options.variants:
        for backend in run.options.backends:
            named = label(backend, variant.name)
            here = run.prepared.python(backend, variant.name)
            if here is None:
                continue  # its cases are skipped or fail, with the reason
            if named in node.facts["missing"]:
                return f"the environment of {named} is missing there: {node.facts['missing'][named]}"
            ours, theirs = environments.installed(here), node.facts["versions"][named]
            differ = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
            if differ:
                said = [f"{name} {theirs.get(name, 'missing')}, here {ours.get(name, 'missing')}" for name in differ]
                return f"its environment of {named} differs: {'; '.join(said[:TOLD])}"
    return ""


def _laid(run: MeasuringRun, fleet: Fleet) -> Iterator[str]:
    """Let the user's own files lie on the nodes; gives what has to be said of those that are not sent, a line each.

    A dry run sends nothing, and has taken back by now what it wrote here.
    """
    files = replace(run.prepared.files, sent=()) if run.dry else run.prepared.files
    by_file: dict[str, list[str]] = {}
    for name, lacking in fleet.lay(files).items():
        for path in lacking:
            by_file.setdefault(path, []).append(name)
    lines = [
        f"{path} was read here, and is not sent: it is hidden, or in no folder of your files; {', '.join(names)} "
        f"{'lacks' if len(names) == 1 else 'lack'} it"
        for path, names in by_file.items()
    ]
    yield from lines[:TOLD]
    if len(lines) > TOLD:
        yield f"and {len(lines) - TOLD} more files that were read here and are not sent"


def _on_their_devices(run: MeasuringRun, places: list[Node]) -> MeasuringRun:
    """The run on the devices of these places: the cards of the first, and the memory of the smallest."""
    gpus = tuple(Gpu(**{**one, "processes": tuple(one["processes"])}) for one in places[0].facts["gpus"])
    memory = {**memory_mib(gpus), "cpu": min(float(place.facts["machine"]["memory_mib"]) for place in places)}
    counts = {"gpu": min(len(place.facts["gpus"]) for place in places)}
    lacking = nvidia.lacking(gpus)
    limits = replace(run.limits, memory_mib=memory, lacking=lacking, without_gpu={}, device_counts=counts)
    return replace(run, gpus=gpus, limits=limits)


def ladder_limits(run: MeasuringRun) -> Limits:
    """What rules ladders out: parity is climbed on the machine that the run is started on, whatever the nodes have."""
    if run.fleet is None:
        return run.limits
    here = nvidia.find().gpus
    blind = (
        {} if here else dict.fromkeys(run.options.training, "parity is climbed where the run is started: no GPU there")
    )
    return replace(run.limits, without_gpu=blind, device_counts={"gpu": len(here)}, lacking=nvidia.lacking(here))


def memory_here(run: MeasuringRun) -> float | None:
    """What a workload may need of this machine's memory to be described by being built; None: as the options say."""
    return None if run.fleet is None else memory_mib(())["cpu"]
