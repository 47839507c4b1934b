"""A worker does not outlive the run that started it."""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)


def die_with_parent() -> None:
    """Be killed when the parent that started this worker is killed, and so cannot end it; only Linux offers it."""
    if "BENCH_STARTED_BY" in os.environ and sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
