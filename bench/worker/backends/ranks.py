"""The processes of several devices, one each: the worker is the first, and starts the others, which run its command.

They are its children: they stay in its process group and die with it. What one has to say of its failure it leaves in a
folder that all of them know; they meet there too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.datasets import mapped

RANK, MEETING = "BENCH_RANK", "BENCH_MEETING"
VISIBLE = "CUDA_VISIBLE_DEVICES"
STARTED_BY = "BENCH_STARTED_BY"  # a child without it would not die with its parent, see bench.contract.lifeline
END_SECONDS = 60.0  # in which a process that has trained has ended
GRACE_SECONDS = 2.0  # in which one that has failed has
LOOK_SECONDS = 0.5  # between two looks at the others

_others: list[subprocess.Popen[bytes]] = []


def rank() -> int:
    """The number of this process; 0 is the worker itself."""
    return int(os.environ.get(RANK, "0"))


def meeting() -> Path:
    """The folder that all know."""
    return Path(os.environ[MEETING])


def start(count: int) -> None:
    """In the worker: start the others of `count` processes. They see the environment as it is now."""
    folder = tempfile.mkdtemp(prefix="bench-ranks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(kill)  # called first
    os.environ[MEETING] = folder
    for number in range(1, count):
        environment = {STARTED_BY: str(os.getpid()), **os.environ, RANK: str(number)}
        command = [sys.executable, *sys.orig_argv[1:]]
        _others.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL))


def own_card(count: int) -> dict[str, str]:
    """The setting by which this process sees a GPU of its own, of those that it sees now; RuntimeError for too few."""
    cards = os.environ.get(VISIBLE, "").split(",")
    if len(cards) < count:
        raise RuntimeError(f"{count} GPUs were asked for, {VISIBLE} names {len(cards)}")
    return {VISIBLE: cards[rank()]}


def share(parts: Sequence[Any], batch_size: int, number: int, count: int) -> tuple[tuple[Any, ...], int]:
    """What process `number` of `count` has of batches that lie one after the other, and its size of a batch."""
    own = batch_size // count
    mine = slice(number * own, (number + 1) * own)

    def of_mine(array: Any) -> Any:
        return array.reshape(-1, batch_size, *array.shape[1:])[:, mine].reshape(-1, *array.shape[1:])

    return tuple(None if part is None else mapped(of_mine, part) for part in parts), own


def failed(reason: str) -> str:
    """Leave the reason why this process fails for the worker. In the worker: why another one failed, if one did."""
    if rank():
        with contextlib.suppress(OSError):  # the worker has ended, and the folder with it
            (meeting() / f"{rank()}.failed").write_text(reason, encoding="utf-8")
        return reason
    why = next((why for number in range(1, len(_others) + 1) if (why := _why(number))), "")
    return f"{why} (device 0: {reason})" if why else reason


def watch(tell: Callable[[str], None]) -> None:
    """In the worker: should another process fail, tell why and end this one at once, which may wait for it in vain."""

    def look() -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            for number, process in enumerate(_others, start=1):
                if process.poll():
                    tell(_why(number))
                    kill()
                    os._exit(1)

    if not rank():
        threading.Thread(target=look, daemon=True).start()


def end() -> None:
    """In the worker: wait for the others; RuntimeError where one does not end, or ends badly."""
    for number, process in enumerate(_others, start=1):
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the process of device {number} did not end within {END_SECONDS:.0f} s") from None
        if process.returncode:
            raise RuntimeError(_why(number))


def cpu_seconds() -> float:
    """The CPU time so far of the others; 0 where the system does not tell."""
    return sum(_cpu_seconds(process.pid) for process in _others)


def _why(number: int) -> str:
    """Why the process of a device failed, in words; empty where it runs, or ended well."""
    process, told = _others[number - 1], meeting() / f"{number}.failed"
    with contextlib.suppress(subprocess.TimeoutExpired):  # it may be about to say
        process.wait(GRACE_SECONDS)
    if told.exists():
        return f"device {number}: {told.read_text(encoding='utf-8')}"
    if not process.returncode:
        return ""
    how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit status {process.returncode}"
    return f"device {number}: its process ended with {how}"


def _cpu_seconds(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def kill() -> None:
    """In the worker: end the others."""
    for process in _others:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        process.wait()
