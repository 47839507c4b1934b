"""A stand-in for a machine: a process that runs one daemon and adopts whatever is orphaned under it.

So everything the daemon ever started can be found and ended, whatever it did to get away. It needs no rights.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36  # of prctl


def switch_on(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a machine; to terminate it ends all of its processes first, and so does the end of this thread."""
    return subprocess.Popen(
        [sys.executable, "-S", __file__, *command],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def processes(root: int) -> list[int]:
    """Every process below one, parents before children."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = path.read_text(errors="replace").rpartition(")")[2].split()[1]
            children[int(parent)].append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found[1:]


def end_marked(variable: str) -> None:
    """End every process, but this one, that was started with this NAME=value in its environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # another user's, or it has ended meanwhile
            if variable.encode() in path.read_bytes().split(b"\0") and path.parent.name != str(os.getpid()):
                os.kill(int(path.parent.name), signal.SIGKILL)


def signal_all(root: int, number: int) -> None:
    """Send every process below one a signal, parents first: none can tell of its children's end."""
    for pid in processes(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _end(*_: object) -> None:
    while processes(os.getpid()):
        signal_all(os.getpid(), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
    os._exit(0)


def _run(command: Sequence[str]) -> None:
    prctl = ctypes.CDLL(None).prctl
    signal.signal(signal.SIGTERM, _end)
    prctl(SET_CHILD_SUBREAPER, 1)
    prctl(SET_PDEATHSIG, signal.SIGTERM)
    subprocess.Popen(command)
    with contextlib.suppress(ChildProcessError):  # until nothing is left
        while True:
            os.wait()


if __name__ == "__main__":
    _run(sys.argv[1:])
