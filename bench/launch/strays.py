"""Processes that outlive the worker that started them: found by a mark in their environment, and ended.

A worker's process group is ended whole. A process may leave its group, but keeps its environment.
"""

import contextlib
import os
from collections.abc import Callable

from bench.launch import lock

MARK = "BENCH_STARTED_BY"
GRACE_SECONDS = 1.0  # in which helpers of a worker that has ended, such as multiprocessing's, end themselves


def mark() -> str:
    """The mark in every worker's environment: its parent's number and the lock."""
    return f"{os.getpid()} {lock.identity()}"


def end_own(grace_seconds: float = GRACE_SECONDS) -> int:
    """End the processes that this process's workers left; returns how many had to be killed."""
    return _end(lambda found: found == mark(), grace_seconds)


def end_abandoned() -> int:
    """End the processes of runs that were killed.

    Only the holder of the lock may call it. Runs under another lock, such as a container's, are left alone.
    """
    import psutil

    def is_abandoned(found: str) -> bool:
        number, _, identity = found.partition(" ")
        return identity == lock.identity() and number.isdecimal() and not psutil.pid_exists(int(number))

    return _end(is_abandoned, 0.0)


def _end(is_stray: Callable[[str], bool], grace_seconds: float) -> int:
    import psutil

    strays = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or gone meanwhile
            if is_stray(process.environ().get(MARK, "")):
                strays.append(process)
    _, alive = psutil.wait_procs(strays, grace_seconds) if strays else ([], [])
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, GRACE_SECONDS)
    return len(alive)
