"""The machine's fingerprint: what a figure depends on besides the code. No host name, user name or path."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contract.catalog import facts_of_all
from bench.machine import nvidia
from bench.machine.nvidia import Gpu

# Settings that change what the frameworks do, besides their own; recorded where the user has set them.
FLAGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "LD_PRELOAD",
)
GOOGLE = "0x1ae0"  # its number among the makers of PCI devices


def memory_mib(cards: Sequence[Gpu]) -> dict[str, float]:
    """The memory of each device here, in MiB: the host's, and with `cards` that of the smallest of them."""
    import psutil

    found = {"cpu": psutil.virtual_memory().total / 2**20}
    sizes = [gpu.memory_mib for gpu in cards if gpu.memory_mib is not None]
    return {**found, "gpu": min(sizes)} if sizes else found


def fingerprint() -> dict[str, Any]:
    """Hardware, system, load and flags of this machine, as JSON."""
    import psutil  # here, because the noxfile reads this module in an interpreter that may lack it

    found = nvidia.find()
    return {
        "cpu": _cpu_model(),
        "logical_cpus": psutil.cpu_count(),
        "physical_cpus": psutil.cpu_count(logical=False),
        "usable_cpus": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_mib": round(psutil.virtual_memory().total / 2**20),
        "gpus": [gpu.name for gpu in found.gpus],
        "gpu": _first(found),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": list(psutil.getloadavg()),
        "flags": {name: os.environ[name] for name in _flags() if name in os.environ},
    }


def _flags() -> tuple[str, ...]:
    return (*(name for facts in facts_of_all() for name in facts.recorded_settings), *FLAGS)


def _first(found: nvidia.Found) -> dict[str, Any] | None:
    """The properties of the first GPU that a figure depends on; once a run has begun, it is the one measured."""
    if not found.gpus:
        return None
    told = {name: getattr(found.gpus[0], name) for name in ("name", "memory_mib", "power_limit_watts", "max_mhz")}
    return {**told, "driver": found.driver, "cuda": found.cuda and ".".join(map(str, found.cuda))}


def others(root: Path = Path("/"), system: str = platform.system(), kind: str = platform.machine()) -> list[str]:
    """Accelerators here that are not measured, each with what the backends can do with it, in words."""
    vendors = {_read(path) for path in (root / "sys/bus/pci/devices").glob("*/vendor")}
    found = []
    if (root / "dev/kfd").exists():
        found.append("AMD GPU")
    if GOOGLE in vendors and list((root / "dev").glob("accel*")) + list((root / "dev/vfio").glob("[0-9]*")):
        found.append("TPU")
    if (system, kind) == ("Darwin", "arm64"):
        found.append("Apple GPU")
    return [
        f"{name}: {_made_of(name)}; not measured here, where devices are the CPU and NVIDIA's GPUs" for name in found
    ]


def _made_of(device: str) -> str:
    """What each backend makes of an accelerator, as its installation guide says."""
    told = [f"{facts.name} {facts.other_devices[device]}" for facts in facts_of_all() if device in facts.other_devices]
    return ", ".join(told) or "no backend has words for it"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
