"""The machine's peak, measured when a run begins: one large matrix product on each backend and device."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.values import is_number
from bench.launch.ask import ask
from bench.plan.planned import PlannedCase
from bench.run.console import RunConsole
from bench.run.prepare import Prepared

Ceilings = dict[str, dict[str, float]]  # device and backend to floating-point operations per second


def measure(prepared: Prepared, cases: Sequence[PlannedCase], console: RunConsole) -> Ceilings:
    """The peak of every backend and device that the plan trains on; one that gives none is left out, with a remark."""
    found: Ceilings = {}
    trained = [planned.case for planned in cases if planned.skip is None and planned.case.task == "train"]
    for device, backend in dict.fromkeys((case.device, case.backend) for case in trained):
        python = prepared.pythons[backend]
        if python is None:
            continue  # its cases end as failed, with the reason
        answer = ask(python, "bench.worker.programs.ceiling", "--backend", backend, "--device", device)
        if is_number(answer.get("flops_per_second"), 1.0):
            found.setdefault(device, {})[backend] = float(answer["flops_per_second"])
        else:
            said = f"ceiling: {backend} {device}: {answer.get('error', 'no number in its answer')}"
            console.say(said)
    for device, speeds in found.items():
        said = ", ".join(f"{backend} {speed / 1e9:.3g}" for backend, speed in speeds.items())
        console.say(f"ceiling on {device}, GFLOP/s in a matrix product: {said}")
    return found
