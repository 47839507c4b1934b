"""The machine's peak, before and after a run's launches: one large matrix product on each backend and device."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.disturbance import disturbed
from bench.contract.values import is_number
from bench.launch.ask import ask
from bench.plan.planned import PlannedCase
from bench.run.console import RunConsole
from bench.run.prepare import Prepared

TRIES = 3
Ceilings = dict[str, dict[str, float]]  # device and backend to floating-point operations per second


def measure(
    prepared: Prepared, cases: Sequence[PlannedCase], console: RunConsole, known: Ceilings | None = None
) -> Ceilings:
    """The peak of every backend and device that the plan trains on; one that gives none is left out, with a remark.

    What was disturbed is measured anew, up to `TRIES` times. The fastest counts, those `known` included: what else a
    shared machine does only slows a product.
    """
    found: Ceilings = {device: dict(speeds) for device, speeds in (known or {}).items()}
    trained = [planned.case for planned in cases if planned.skip is None and planned.case.task == "train"]
    for device, backend in dict.fromkeys((case.device, case.backend) for case in trained):
        python = prepared.pythons[backend]
        if python is None:
            continue  # its cases end as failed, with the reason
        for _ in range(TRIES):
            answer = ask(python, "bench.worker.programs.ceiling", "--backend", backend, "--device", device)
            if not is_number(answer.get("flops_per_second"), 1.0):
                console.say(f"ceiling: {backend} {device}: {answer.get('error', 'no number in its answer')}")
                break
            speeds = found.setdefault(device, {})
            speeds[backend] = max(float(answer["flops_per_second"]), speeds.get(backend, 0.0))
            if not disturbed({"seconds": 0.0, **answer}):
                break
    for device, speeds in found.items():
        said = ", ".join(f"{backend} {speed / 1e9:.3g}" for backend, speed in speeds.items())
        console.say(f"ceiling on {device}, GFLOP/s in a matrix product: {said}")
    return found
