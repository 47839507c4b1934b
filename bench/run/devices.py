"""Which devices are measured, and what keeps a case from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contract.case import input_kinds
from bench.contract.errors import UsageError
from bench.machine import environments, nvidia
from bench.machine.fingerprint import memory_mib
from bench.machine.nvidia import Gpu
from bench.plan.cases import devices_of
from bench.plan.planned import Limits
from bench.plan.selection import Selection


def measured_gpus(options: Selection, shared: bool = False) -> tuple[Gpu, ...]:
    """The GPU that is measured, if one is, which from now on is the only one that a worker sees.

    Where cases are asked for on several devices others follow it, which only the workers of these see.

    Raises UsageError where it is not there, or in use and not `shared`.
    """
    found = nvidia.find()
    if "gpu" in devices_of(options, found.gpus):
        most = max(getattr(options, "device_counts", (1,)))
        return nvidia.choose_several(found, options.gpu, shared or options.shared_gpu, most)
    if options.gpu is not None or options.shared_gpu:
        option = "--shared-gpu" if options.gpu is None else f"--gpu {options.gpu}"
        raise UsageError(f"{option}: no GPU is measured here; leave it out, or see with doctor what is found")
    return ()


def limits_here(
    cards: Sequence[Gpu], pythons: Mapping[str, Path | None], refused: Mapping[tuple[str, str], str]
) -> Limits:
    """What rules cases out on this machine, which has these GPUs; `refused` as Limits has it."""
    blind = without_gpu(pythons) if cards else {}
    return Limits(blind, memory_mib(cards), nvidia.lacking(cards), refused, device_counts={"gpu": len(cards)})


def without_gpu(pythons: Mapping[str, Path | None]) -> dict[str, str]:
    """The backends whose environment sees no GPU, with the reason; asked only where the machine has one."""
    blind = {}
    for backend, python in pythons.items():
        answer = environments.probe(python, backend) if python else {"missing": [environments.missing_reason(backend)]}
        devices = answer.get("devices", [])
        if not any(device.startswith("gpu") for device in devices):
            seen = "; ".join(answer["missing"] or devices)
            blind[backend] = f"the environment of {backend} sees no GPU ({seen})"
    return blind


def frameworks(pythons: Mapping[str, Path | None], kinds: Sequence[str]) -> dict[str, set[str]]:
    """By backend the others whose frameworks its environment has too, among those that these inputs need."""
    owners = {owner for owner in map(input_kinds().get, kinds) if owner is not None}
    return {
        backend: {one for one in owners - {backend} if not environments.lacking(python, one)}
        for backend, python in pythons.items()
        if python is not None
    }


def most_memory(options: Selection) -> float:
    """The memory of the largest device, in MiB; infinite where it is not known."""
    cards = nvidia.find().gpus
    there = memory_mib(cards)
    return max(there.get(device, math.inf) for device in devices_of(options, cards))
