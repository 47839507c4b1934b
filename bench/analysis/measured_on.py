"""What a run was measured on: the machine that it was started on, or nodes of a cluster, of which each kind is one."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from bench.analysis import nodes
from bench.analysis.frames import WHICH, Run
from bench.contract.machines import Machine


def measured_on(run: Run) -> dict[str, Run]:
    """What was measured by where, in words that two runs share where both were measured on the same.

    A local run is one whole. Of a run on nodes each kind of them has its part: a repetition stays on one node, so
    nothing is torn apart.
    """
    if not nodes.names(run):
        return {machine_name(run.description.machine): run}
    by_kind: dict[str, list[str]] = {}
    shared = {"a launch on": "each GPU"} if nodes.per_gpu(run) else {}
    for name, kind in nodes.kinds(run).items():
        by_kind.setdefault(kind_name(kind | shared, run.description.id), []).append(name)
    return {words: _part(run, some) for words, some in by_kind.items()}


def machine_name(machine: Machine) -> str:
    """What makes two machines one for a history: processor, sizes, GPUs, system and flags, in words."""
    gpus = ", ".join(machine.gpus) or "no GPU"
    flags = "".join(f", {name}={value}" for name, value in sorted(machine.flags.items()))
    size = f"{machine.logical_cpus} CPUs, {round((machine.memory_mib or 0) / 1024)} GiB"
    system = " ".join(machine.system.split()[::2])  # without the kernel's version
    return f"{machine.cpu}, {size}, {gpus}, {system}{flags}"


def kind_name(kind: dict[str, str], run: str) -> str:
    """A kind of nodes, in words that no machine's name begins with; where run.json has none, of this run alone."""
    facts = ", ".join(f"{fact} {value}" for fact, value in kind.items())
    return f"nodes of a cluster: {facts or f'not described by run {run}'}"


def differences(newer: Run, older: Run) -> Iterator[str]:
    """In what two runs, of which one at least was on nodes, were not measured on the same, in words.

    A mixture of unlike nodes is like no other, not even one of the same kinds: their shares may differ.
    """
    runs = older, newer
    local = [run.description.id for run in runs if not nodes.names(run)]
    if local:
        (other,) = [run.description.id for run in runs if run.description.id not in local] or local
        yield f"{local[0]} was measured on the machine that it was started on, {other} on nodes of a cluster"
        return
    kinds = [nodes.kinds(run) for run in runs]
    mixed = [(run.description.id, words) for run, found in zip(runs, kinds, strict=True) if (words := _mixed(found))]
    yield from (f"{name} was measured on unlike nodes ({words})" for name, words in mixed)
    if not mixed:
        theirs, ours = (next(iter(found.values())) for found in kinds)
        for fact in dict.fromkeys([*theirs, *ours]):
            if theirs.get(fact) != ours.get(fact):
                yield f"nodes: {fact} {theirs.get(fact, 'unknown')} and {ours.get(fact, 'unknown')}"


def _mixed(kinds: dict[str, dict[str, str]]) -> str:
    """What nodes do not have in common, in words; empty where they are of one kind."""
    return "; ".join(nodes.apart(kinds))


def _part(run: Run, names: list[str]) -> Run:
    """What a run measured on some of its nodes."""
    launches = run.launches[run.launches["node"].isin(names)]
    epochs = run.epochs.merge(launches[WHICH], on=WHICH)
    there = {name: machine for name, machine in run.description.nodes.items() if name in names}
    about = replace(run.description, nodes=there)
    return run._replace(description=about, launches=launches, epochs=epochs)
