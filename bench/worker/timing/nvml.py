"""What the NVIDIA driver reports of the GPU; nothing where there is no driver, no `nvidia-ml-py`, or no answer.

Built to NVML's documentation and tested against a stand-in for the library; not yet run on hardware.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

# Of the reasons that NVML gives for a lower clock, those that are not the driver's normal bookkeeping: hardware
# slow-down, heat (by software or hardware), and the power brake. The power cap is how a busy card runs.
DISTURBING = 0x8 | 0x20 | 0x40 | 0x80


class Gpu(NamedTuple):
    """The card at a moment, None for what is not told.

    Attributes:
        gpu_mhz: the multiprocessors' clock.
        gpu_watts: power.
        gpu_celsius: heat.
        gpu_throttled: whether the clock is held down for heat or want of power, 1 or 0.
        gpu_joules: energy that the card has taken since its driver was loaded; of a span, see `during`, in it.
        gpu_mib: memory that this process holds. Allocators do not give any back, so it is the most that was held.
        gpu_others: how many other processes compute on the card.
    """

    gpu_mhz: float | None = None
    gpu_watts: float | None = None
    gpu_celsius: float | None = None
    gpu_throttled: float | None = None
    gpu_joules: float | None = None
    gpu_mib: float | None = None
    gpu_others: float | None = None


def during(before: Gpu, after: Gpu) -> Gpu:
    """The card after a span, with the energy that it took in it."""
    known = before.gpu_joules is not None and after.gpu_joules is not None
    joules = after.gpu_joules - before.gpu_joules if known else None  # type: ignore[operator]
    return after._replace(gpu_joules=joules)


def nothing() -> Gpu:
    """The gauge of a case on the CPU."""
    return Gpu()


def gauge() -> Callable[[], Gpu]:
    """A function that reads the first GPU this process may see."""
    try:
        library: Any = importlib.import_module("pynvml")
        library.nvmlInit()
        handle = _handle(library, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    except Exception:  # no package, no driver, no such card: a measurement does not depend on its gauges
        return nothing

    def read() -> Gpu:
        return Gpu(
            or_default(lambda: float(library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM))),
            or_default(lambda: library.nvmlDeviceGetPowerUsage(handle) / 1000),
            or_default(lambda: float(library.nvmlDeviceGetTemperature(handle, library.NVML_TEMPERATURE_GPU))),
            or_default(lambda: float(bool(library.nvmlDeviceGetCurrentClocksThrottleReasons(handle) & DISTURBING))),
            or_default(lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000),
            *_held(library, handle),
        )

    return read


def _held(library: Any, handle: Any) -> tuple[float | None, float | None]:
    """What this process holds, in MiB, and how many others there are.

    In a container processes may have other numbers than the driver knows them by; one alone is then this one.
    """
    try:
        found = list(library.nvmlDeviceGetComputeRunningProcesses(handle))
    except Exception:  # a card that does not support the question
        return None, None
    own = [one for one in found if one.pid == os.getpid()] or (found if len(found) == 1 else [])
    held = own[0].usedGpuMemory / 2**20 if own and own[0].usedGpuMemory else None
    return held, float(len(found) - 1 if found else 0)


def _handle(library: Any, visible: str) -> Any:
    """CUDA numbers the cards it may see from 0; NVML numbers all of them, or knows them by UUID."""
    first = visible.split(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return library.nvmlDeviceGetHandleByUUID(first)
    return library.nvmlDeviceGetHandleByIndex(int(first or 0))


def or_default(question: Callable[[], float]) -> float | None:
    try:
        return question()
    except Exception:  # a card that does not support the question
        return None
