"""The places of a run that is measured on a cluster: which nodes take part, and what they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from bench.contract.errors import UsageError
from bench.contract.machines import Machine
from bench.contract.results import described
from bench.contract.typed import MalformedError, parse
from bench.machine import environments, nvidia
from bench.machine.fingerprint import memory_mib
from bench.machine.nvidia import Gpu
from bench.places.fleet import told
from bench.places.node import Node, environment
from bench.places.place import Here, Place, label
from bench.run.workflow import MeasuringRun, check_machine

TOLD = 3  # packages in which an environment differs


def check_here(run: MeasuringRun) -> MeasuringRun:
    """Find the GPU that is measured, if it is one of this machine's."""
    return check_machine(run) if run.fleet is None else run


def find_nodes(run: MeasuringRun) -> MeasuringRun:
    """Start on the cluster's nodes and leave out those that differ; the others decide which devices there are.

    UsageError where none is left.
    """
    if run.fleet is None:
        return run
    fleet = run.fleet
    fleet.begin(_wanted(run))
    for node in list(fleet.nodes):
        fault = _fault(run, node)
        if fault:
            fleet.leave_out(node.name, fault)
    machines = {node.name: parse(Machine, node.facts["machine"]) for node in fleet.nodes}
    before = _nodes_before(run)
    if not run.options.pool_unlike:
        for name, reason in unlike(machines, before).items():
            fleet.leave_out(name, reason)
    for line in told(fleet.refused, fleet.nodes):
        run.console.say(line)
    if not fleet.nodes:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(fleet.refused.items()))
        raise UsageError(f"--places {run.options.places}: no node can be measured on ({reasons})")
    nodes = {**before, **{node.name: machines[node.name] for node in fleet.nodes}}
    return replace(_on_their_devices(run, fleet.nodes), nodes=nodes)


def places_of(run: MeasuringRun) -> list[Place]:
    """Where launches happen."""
    return [Here(run.prepared.python)] if run.fleet is None else list(run.fleet.nodes)


def unlike(machines: dict[str, Machine], before: dict[str, Machine]) -> dict[str, str]:
    """Of nodes by name those that are not of the kind that is measured, each with the reason.

    That is the kind of a run that goes on, else the one of which there are most, of several the first.
    """
    kinds = {name: machine.kind for name, machine in machines.items()}
    counted = Counter(tuple(kind.items()) for kind in kinds.values())
    wanted = next(iter(before.values())).kind if before else dict(counted.most_common(1)[0][0]) if counted else {}
    reasons = {}
    for name, kind in kinds.items():
        differ = [
            f"{fact} {kind.get(fact, 'unknown')}, not {wanted.get(fact, 'unknown')}"
            for fact in dict.fromkeys([*kind, *wanted])
            if kind.get(fact) != wanted.get(fact)
        ]
        if differ:
            reasons[name] = f"unlike the others ({'; '.join(differ)}); --pool-unlike measures on all"
    return reasons


def _nodes_before(run: MeasuringRun) -> dict[str, Machine]:
    """The nodes on which a run that goes on was measured."""
    if run.continued is None:
        return {}
    try:
        return parse(dict[str, Machine], described(run.continued).get("nodes", {}))
    except MalformedError:
        return {}  # what is wrong with run.json is said when it is read whole


def _wanted(run: MeasuringRun) -> dict[str, Any]:
    """What every node is asked to have."""
    options, wanted = run.options, []
    for variant in options.variants:
        for backend in options.backends:
            own = variant.pythons.get(backend) if variant.pythons else options.python.get(backend)
            wanted.append(environment(backend, variant.name, own, options.packages, variant.pins))
    asked: dict[str, Any] = {"device_counts": options.device_counts}
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


def _on_their_devices(run: MeasuringRun, nodes: list[Node]) -> MeasuringRun:
    """The run on the devices of these nodes: the cards of the first, and the memory of the smallest."""
    gpus = tuple(Gpu(**{**one, "processes": tuple(one["processes"])}) for one in nodes[0].facts["gpus"])
    memory = {**memory_mib(gpus), "cpu": min(float(node.facts["machine"]["memory_mib"]) for node in nodes)}
    counts = {"gpu": min(len(node.facts["gpus"]) for node in nodes)}
    lacking = nvidia.lacking(gpus)
    limits = replace(run.limits, memory_mib=memory, lacking=lacking, without_gpu={}, device_counts=counts)
    return replace(run, gpus=gpus, limits=limits)


def memory_here(run: MeasuringRun) -> float | None:
    """What a workload may need of this machine's memory to be described by being built; None: as the options say."""
    return None if run.fleet is None else memory_mib(())["cpu"]
