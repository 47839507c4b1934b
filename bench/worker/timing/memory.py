"""Memory of this process: its peak, and what it holds from one look to the next."""

import ctypes
import gc
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROCESS = Path("/proc/self")


def reset_peak() -> None:
    """Reset the peak to what is resident now; without effect where the system cannot."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")


def live_mib() -> float:
    """The resident set of this process without what it has freed, in MiB; 0 where the system does not tell it.

    Freed memory goes back to the kernel before: what is kept would fill it at first, and a leak be hidden by it.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc's
        library.malloc_trim(0)
    with suppress(OSError, ValueError, IndexError):
        return int((PROCESS / "statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
    return 0.0


def no_device() -> None:
    """The device memory in use where there is no device besides the host."""


@dataclass
class Looks:
    """What is held from one look to the next, in MiB: by the host's process, and by the framework on a device.

    `held` and `held_on_device` tell it now, the latter None where there is no device with memory of its own.
    """

    held_on_device: Callable[[], float | None] = no_device
    held: Callable[[], float] = live_mib
    host: list[float] = field(default_factory=list)
    device: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Spare the collector what is there already: walking every object of a framework takes it half a second."""
        gc.collect()
        gc.freeze()

    def take(self) -> None:
        """Look once; the host first, since it lets Python free what holds the device's memory too."""
        self.host.append(self.held())
        on_device = self.held_on_device()
        if on_device is not None:
            self.device.append(on_device)

    def to_json(self) -> dict[str, list[float]]:
        """Both series, of the device an empty one where it has no memory of its own."""
        return {"memory_mib": self.host, "device_memory_mib": self.device}


def peak_host_mib() -> float:
    """The largest resident set of this process since the last reset, in MiB."""
    try:
        # Not getrusage: its peak takes over what the parent held when it forked, and cannot be reset.
        lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # in bytes where there is no /proc
