"""Options and descriptions of workloads to an ordered list of cases and launches; pure: same input, same plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.contract.case import in_turns
from bench.contract.errors import UsageError
from bench.plan.generate import generate_cases
from bench.plan.options import RunOptions
from bench.plan.planned import Limits, PlannedCase
from bench.plan.predict import predict_cases
from bench.plan.selection import Selection
from bench.plan.train import train_cases

if TYPE_CHECKING:  # which needs a library that the noxfile, which reads these modules, may lack
    from bench.contract.run_json import Workload


def plan(
    options: RunOptions,
    descriptions: Sequence[Workload],
    gpus: Sequence[Any],
    limits: Limits | None = None,
) -> list[PlannedCase]:
    """The cases of a run, the backends of one workload, device, batch size, numerics and track next to each other.

    `gpus` are the machine's. A case that `limits` rule out is skipped with that reason.

    Raises UsageError where a number does not fit a workload.
    """
    limits = limits or Limits()
    devices = devices_of(options, gpus)
    cases = []
    if "train" in options.tasks:
        cases += train_cases(replace(options, backends=options.training), descriptions, devices, limits)
    if "predict" in options.tasks:
        cases += predict_cases(options, descriptions, devices, limits)
    if "generate" in options.tasks:
        cases += generate_cases(options, descriptions, devices, limits)
    _check_turns(options, cases)
    return cases


def _check_turns(options: RunOptions, cases: Sequence[PlannedCase]) -> None:
    """Refuse variants of which each trains a file of its own, in other sizes: these would be compared too."""
    first, *others = options.variants
    sizes = {
        one.name: [in_turns(planned.case) for planned in cases if planned.case.variant == one.name]
        for one in options.variants
        if one.workload
    }
    for other in others if sizes else ():
        if sizes[other.name] != sizes[first.name]:
            raise UsageError(
                f"--vary {options.vary}: {other.name} and {first.name} train on other data or sizes; "
                "make them equal (--dataset, --samples, --epochs, --batch-size), or use --against"
            )


def devices_of(options: Selection, gpus: Sequence[Any]) -> tuple[str, ...]:
    """The devices asked for, or every one that is here, the GPU first; UsageError where one is not here."""
    devices = options.devices or (("gpu", "cpu") if gpus else ("cpu",))
    check_devices(devices, gpus)
    return devices


def check_devices(devices: Sequence[str], gpus: Sequence[Any]) -> None:
    """Refuse a device that this machine lacks, rather than measure another one."""
    if "gpu" in devices and not gpus:
        raise UsageError(
            "--devices gpu: no GPU was found here (NVIDIA's driver names none); leave it out or use --devices cpu"
        )
