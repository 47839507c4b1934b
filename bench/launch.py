"""One worker in its backend's environment: started, watched, limited; one outcome whatever happens."""

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.environments import ROOT

LOG_BYTES = 2**20  # of a log's beginning and of its end, each
KILL_SECONDS = 10.0
FOREIGN = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")  # would bring a user's plugins back into the timed span
MESSAGES = "BENCH_MESSAGES"  # tells the worker its end of the socket; without it, by hand, it sends no messages
OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemory|RESOURCE_EXHAUSTED|MemoryError|bad_alloc|Cannot allocate memory", re.I
)


@dataclass(frozen=True)
class Outcome:
    """How a process ended: a status of the record's, its reason in words (empty when ok), and its wall time."""

    status: str
    reason: str
    wall_seconds: float


def launch(
    command: Sequence[str],
    *,
    log: Path,
    limit_seconds: float,
    on_message: Callable[[Mapping[str, Any]], None] = lambda _message: None,
) -> Outcome:
    """Run a worker to its end or to its limit, its output going to `log`.

    The worker gets a process session of its own, and its process group is ended whole. This process sleeps meanwhile:
    it wakes for a message, for the worker's end and for the limit, and the worker waits while a message is dealt with.
    """
    ours, theirs = socket.socketpair()
    killed_before = _oom_kills()
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    failure: list[str] = []

    def receive(message: Mapping[str, Any]) -> None:
        if message.get("event") == "failed":
            failure.append(str(message.get("reason")))
        on_message(message)

    process = None
    began = time.monotonic()
    try:
        with ours, theirs, log.open("wb") as output:
            process = subprocess.Popen(
                list(command),
                env={**environment, MESSAGES: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            in_time = _watch(process, ours, began + limit_seconds, receive)
    except OSError as error:
        if process is not None:
            raise
        return Outcome("failed", f"cannot start {command[0]}: {error.strerror}", 0.0)
    finally:  # Ctrl-C comes through here too
        if process is not None:
            _end(process)
    wall_seconds = time.monotonic() - began
    tail = _trim(log)
    if not in_time:
        return Outcome("timeout", f"no end after {limit_seconds:.0f} s; killed", wall_seconds)
    if process.returncode == 0:
        return Outcome("ok", "", wall_seconds)
    reason = _reason(process.returncode, failure, tail)
    out_of_memory = OUT_OF_MEMORY.search(reason) or (
        process.returncode == -signal.SIGKILL and _oom_kills() > killed_before
    )
    return Outcome("out of memory" if out_of_memory else "failed", reason, wall_seconds)


def _watch(
    process: subprocess.Popen[bytes], ours: socket.socket, deadline: float, receive: Callable[[Mapping[str, Any]], None]
) -> bool:
    """Deal with messages until the process ends (True) or the deadline passes (False)."""
    ended, wake = socket.socketpair()

    def wait() -> None:
        process.wait()
        wake.close()  # seen by the selector below, which so needs no polling

    threading.Thread(target=wait, daemon=True).start()
    pending = b""
    with ended, selectors.DefaultSelector() as selector:
        selector.register(ours, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            ready = {key.fileobj for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            if ours in ready:
                received = _received(ours)
                if not received:
                    selector.unregister(ours)
                pending += received
                while b"\n" in pending:
                    line, _, pending = pending.partition(b"\n")
                    receive(_parse(line))
                    _answer(ours)
            elif ended in ready:
                return True
        return False


def _received(ours: socket.socket) -> bytes:
    try:
        return ours.recv(65536)
    except OSError:  # the worker died with our answer unread
        return b""


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    return message if isinstance(message, dict) else {"event": "garbled"}


def _answer(ours: socket.socket) -> None:
    try:
        ours.sendall(b".")
    except OSError:
        return  # the worker is gone; its end is seen next


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker's whole process group, children that outlived it too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: nobody can end it
        process.wait(KILL_SECONDS)


def _reason(returncode: int, failure: Sequence[str], tail: str) -> str:
    """Why a worker failed: in its own words, else by its signal, else by its last words."""
    if failure:
        return failure[0]
    if returncode < 0:
        return f"killed by signal {-returncode} ({signal.Signals(-returncode).name})"
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return f"exit status {returncode}: {lines[-1] if lines else 'no output'}"


def _trim(log: Path) -> str:
    """Cut the middle out of a log that is too long; returns its end."""
    size = log.stat().st_size
    with log.open("rb+") as file:
        if size <= 2 * LOG_BYTES:
            return file.read().decode(errors="replace")[-LOG_BYTES:]
        file.seek(size - LOG_BYTES)
        tail = file.read()
        file.seek(LOG_BYTES)
        file.write(f"\n[… {size - 2 * LOG_BYTES} bytes left out …]\n".encode() + tail)
        file.truncate()
        return tail.decode(errors="replace")


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory since it started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
