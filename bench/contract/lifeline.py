"""A worker does not outlive the run that started it."""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)


def die_with_parent() -> None:
    """Be killed when the parent that started this worker is killed, and so cannot end it; only Linux offers it."""
    started_by = os.environ.get("BENCH_STARTED_BY", "").partition(" ")[0]
    if not started_by.isdecimal() or sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        os.kill(int(started_by), 0)
    except ProcessLookupError:  # it was killed before this
        os._exit(1)
    except OSError:
        return  # another user's process: in this container the number means something else
