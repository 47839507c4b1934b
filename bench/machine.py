"""The machine's fingerprint: what a figure depends on besides the code. No host name, user name or path."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Settings that change what the frameworks do; recorded where the user has set them.
FLAGS = (
    "XLA_FLAGS",
    "TF_XLA_FLAGS",
    "TF_ENABLE_ONEDNN_OPTS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "LD_PRELOAD",
)


AMPERE = 8.0  # the compute capability that brought TF32 and bfloat16 to NVIDIA's matrix units


def gpu_names() -> list[str]:
    """The NVIDIA GPUs of this machine, found without importing a framework; none where there is no driver."""
    return _nvidia("name")


def _nvidia(field: str, *formats: str) -> list[str]:
    """What nvidia-smi says of each GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, f"--query-gpu={field}", f"--format={','.join(('csv', 'noheader', *formats))}"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []


def lacking(gpus: Sequence[str]) -> dict[tuple[str, str], str]:
    """The numerics that a device here does not have, each with the reason: `(device, numerics)` to words."""
    capabilities = [float(one) for one in _nvidia("compute_cap") if one.replace(".", "").isdigit()] if gpus else []
    missing = {("cpu", "tf32"): "a CPU has no TF32"}
    if capabilities and min(capabilities) < AMPERE:
        for kind in ("tf32", "bfloat16"):
            missing["gpu", kind] = (
                f"{kind} needs a GPU of compute capability {AMPERE}, this one has {min(capabilities)}"
            )
    return missing


def memory_mib(gpus: Sequence[str]) -> dict[str, float]:
    """The memory of each device here, in MiB: the host's, and with `gpus` that of the smallest of them."""
    import psutil

    found = {"cpu": psutil.virtual_memory().total / 2**20}
    sizes = [float(size) for size in _nvidia("memory.total", "nounits") if size.replace(".", "").isdigit()]
    return {**found, "gpu": min(sizes)} if gpus and sizes else found


def fingerprint() -> dict[str, Any]:
    """Hardware, system, load and flags of this machine, as JSON."""
    import psutil  # here, because the noxfile asks for the GPUs in an interpreter that may lack it

    return {
        "cpu": _cpu_model(),
        "logical_cpus": psutil.cpu_count(),
        "physical_cpus": psutil.cpu_count(logical=False),
        "usable_cpus": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_mib": round(psutil.virtual_memory().total / 2**20),
        "gpus": gpu_names(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": list(psutil.getloadavg()),
        "flags": {name: os.environ[name] for name in FLAGS if name in os.environ},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
