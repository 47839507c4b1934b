"""Peak memory of this process."""

import ctypes
import gc
import resource
from contextlib import suppress
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


def peak_host_mib() -> float:
    """The largest resident set of this process since the last reset, in MiB."""
    try:
        # Not getrusage: its peak takes over what the parent held when it forked, and cannot be reset.
        lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # in bytes where there is no /proc
