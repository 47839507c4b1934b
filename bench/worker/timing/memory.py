"""Peak memory of this process."""

import resource
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")


def reset_peak() -> None:
    """Reset the peak to what is resident now; without effect where the system cannot."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")


def peak_host_mib() -> float:
    """The largest resident set of this process since the last reset, in MiB."""
    try:
        # Not getrusage: its peak takes over what the parent held when it forked, and cannot be reset.
        lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # in bytes where there is no /proc
