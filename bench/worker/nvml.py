"""What the NVIDIA driver tells of the GPU; nothing where there is no driver, no `nvidia-ml-py`, or no answer.

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
    """Right after an epoch: the multiprocessors' clock, power, heat, and whether the clock is held down (1 or 0)."""

    gpu_mhz: float | None = None
    gpu_watts: float | None = None
    gpu_celsius: float | None = None
    gpu_throttled: float | None = None


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
            _asked(lambda: float(library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM))),
            _asked(lambda: library.nvmlDeviceGetPowerUsage(handle) / 1000),
            _asked(lambda: float(library.nvmlDeviceGetTemperature(handle, library.NVML_TEMPERATURE_GPU))),
            _asked(lambda: float(bool(library.nvmlDeviceGetCurrentClocksThrottleReasons(handle) & DISTURBING))),
        )

    return read


def _handle(library: Any, visible: str) -> Any:
    """CUDA numbers the cards it may see from 0; NVML numbers all of them, or knows them by UUID."""
    first = visible.split(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return library.nvmlDeviceGetHandleByUUID(first)
    return library.nvmlDeviceGetHandleByIndex(int(first or 0))


def _asked(question: Callable[[], float]) -> float | None:
    try:
        return question()
    except Exception:  # a card that does not support the question
        return None
