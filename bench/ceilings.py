"""What the machine can do at best, measured when a run begins: one large matrix product on each backend and device."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.environments import ROOT
from bench.plan import PlannedCase
from bench.prepare import Prepared

LIMIT_SECONDS = 120
Ceilings = dict[str, dict[str, float]]  # device and backend to floating-point operations per second


def measure(prepared: Prepared, cases: Sequence[PlannedCase], console: Console) -> Ceilings:
    """Of every backend and device of the plan; one that gives none is left out, and said."""
    found: Ceilings = {}
    for device, backend in dict.fromkeys((one.case.device, one.case.backend) for one in cases if one.skip is None):
        python = prepared.pythons[backend]
        answer = {"error": "no environment"} if python is None else _asked(python, backend, device)
        if "flops_per_second" in answer:
            found.setdefault(device, {})[backend] = float(answer["flops_per_second"])
        else:
            said = f"ceiling: {backend} {device}: {answer['error']}"
            console.print(said, markup=False, highlight=False, soft_wrap=True)
    for device, speeds in found.items():
        said = ", ".join(f"{backend} {speed / 1e9:.3g}" for backend, speed in speeds.items())
        console.print(f"ceiling on {device}, GFLOP/s in a matrix product: {said}", markup=False, highlight=False)
    return found


def _asked(python: Path, backend: str, device: str) -> dict[str, float | str]:
    command = [str(python), "-m", "bench.worker.ceiling", "--backend", backend, "--device", device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=ROOT, check=False)
        answer: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"error": type(error).__name__}
    return answer
