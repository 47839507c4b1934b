"""One worker in its backend's environment: started, watched, limited; one outcome whatever happens."""

import contextlib
import functools
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
from pathlib import Path
from typing import Any

from bench.contract.catalog import facts_of_all
from bench.contract.paths import ROOT
from bench.contract.values import printable
from bench.launch import strays
from bench.launch.interruption import held_back
from bench.launch.log import KEPT_BYTES, WorkerLog
from bench.launch.outcome import Outcome

KILL_SECONDS = 10.0
STOPPED_SECONDS = 1.0  # past the limit, which no process that runs comes to
CHUNK_BYTES = 2**16
LONGEST_MESSAGE = 2**20  # bytes; a worker that sends more without an end is not listened to
LONGEST_REASON = 500  # characters
FOREIGN = "PYTEST_"  # settings of a pytest of the user's, which are not for a launch's node
MESSAGES = "BENCH_MESSAGES"  # tells the worker its end of the socket; without it, by hand, it sends no messages
# The host's words for no memory, and those of CUDA and its libraries; what a framework says is in its backend's facts.
OUT_OF_MEMORY = (
    r"out of memory",
    r"(CUBLAS|CUDNN)\w*_ALLOC_FAILED",
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
)


@functools.cache
def _out_of_memory() -> re.Pattern[str]:
    words = (word for facts in facts_of_all() for word in facts.no_memory)
    return re.compile("|".join(f"(?:{word})" for word in (*OUT_OF_MEMORY, *words)), re.IGNORECASE)


def launch(
    command: Sequence[str],
    *,
    log: Path,
    limit_seconds: float,
    on_message: Callable[[Mapping[str, Any]], None] = lambda _message: None,
) -> Outcome:
    """Run a worker to its end or to its limit, its output going to `log`.

    The worker gets a process session of its own, and whatever it leaves behind is ended. This process sleeps meanwhile:
    it wakes for a message, for what the worker prints, for its end and for the limit, and the worker waits while a
    message is dealt with. OSError where the log cannot be written.
    """
    ours, theirs = socket.socketpair()
    killed_before = _oom_kills()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    failure: list[str] = []

    def receive(message: Mapping[str, Any]) -> None:
        if message.get("event") == "failed":
            failure.append(str(message.get("reason")))
        on_message(message)

    process, outlived = None, 0
    with ours, theirs:
        output = WorkerLog(log)
        try:
            began = time.monotonic()
            with held_back():
                process = subprocess.Popen(
                    list(command),
                    env={**environment, MESSAGES: str(theirs.fileno()), strays.MARK: strays.mark()},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=ROOT,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            theirs.close()
            in_time = _watch(process, ours, output, began + limit_seconds, receive)
            wall_seconds = time.monotonic() - began
            outlived = strays.end_own() if in_time else 0
        except OSError as error:
            if process is not None:
                raise
            return Outcome("failed", f"cannot start {command[0]}: {error.strerror}", 0.0)
        finally:  # Ctrl-C comes through here too
            if process is not None:
                end(process)
            strays.end_own(grace_seconds=0.0)
            tail = output.close()
    remark = f"{outlived} of its processes outlived it and had to be ended" if outlived else ""
    if not in_time:
        return Outcome("timeout", f"no end after {limit_seconds:.0f} s; killed", wall_seconds)
    if process.returncode == 0:
        return Outcome("ok", "", wall_seconds, remark)
    reason = _reason(process.returncode, failure, tail)
    out_of_memory = _out_of_memory().search(reason) or (
        process.returncode == -signal.SIGKILL and _oom_kills() > killed_before
    )
    return Outcome("out of memory" if out_of_memory else "failed", reason, wall_seconds, remark)


def _watch(
    process: subprocess.Popen[bytes],
    ours: socket.socket,
    output: WorkerLog,
    deadline: float,
    receive: Callable[[Mapping[str, Any]], None],
) -> bool:
    """Deal with messages and output until the process ends (True) or the deadline passes (False)."""
    assert process.stdout is not None  # for the types: it is a pipe
    printed = process.stdout.fileno()
    os.set_blocking(printed, False)
    ended, wake = socket.socketpair()

    def wait() -> None:
        process.wait()
        wake.close()  # seen by the selector below, which so needs no polling

    pending = b""
    with ended, selectors.DefaultSelector() as selector:
        threading.Thread(target=wait, daemon=True).start()
        for source in (ours, ended, printed):
            selector.register(source, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left < -STOPPED_SECONDS:  # this process was stopped, as by Ctrl-Z, and not the worker: what came counts
                deadline += STOPPED_SECONDS - left
            elif left <= 0:
                return False
            ready = {key.fileobj for key, _ in selector.select(deadline - time.monotonic())}
            if printed in ready and not _copy(printed, output):
                selector.unregister(printed)
            if ours in ready:
                received = _received(ours)
                pending += received
                if not received or len(pending) > LONGEST_MESSAGE:
                    selector.unregister(ours)
                while b"\n" in pending:
                    line, _, pending = pending.partition(b"\n")
                    receive(_parse(line))
                    _answer(ours)
            elif ended in ready:
                for _ in range(2 * KEPT_BYTES // CHUNK_BYTES):  # no more: a process that outlived it may print on
                    if not _copy(printed, output):
                        break
                return True


def _copy(printed: int, output: WorkerLog) -> bool:
    """Take over what the worker has printed; False where there is nothing now, or will be nothing any more."""
    try:
        chunk = os.read(printed, CHUNK_BYTES)
    except BlockingIOError:
        return False
    output.write(chunk)
    return bool(chunk)


def _received(ours: socket.socket) -> bytes:
    try:
        return ours.recv(65536)
    except OSError:  # the worker ended before it read our answer
        return b""


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    return message if isinstance(message, dict) else {"event": "garbled"}


def _answer(ours: socket.socket) -> None:
    try:
        ours.sendall(b".")
    except OSError:
        return  # the worker is gone; its end is seen next


def end(process: subprocess.Popen[Any]) -> None:
    """End a process with its whole group; what has left it is found by its mark."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: nobody can end it
        process.wait(KILL_SECONDS)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _reason(returncode: int, failure: Sequence[str], tail: str) -> str:
    """Why a worker failed: in its own words, else by its signal, else by its last words."""
    if failure:
        return _one_line(failure[0])
    if returncode < 0:
        return f"killed by signal {-returncode} ({_signal_name(-returncode)})"
    lines = [line for line in map(_one_line, tail.splitlines()[-20:]) if line]
    return f"exit status {returncode}: {lines[-1] if lines else 'no output'}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return "without a name"


def _one_line(text: str) -> str:
    """A worker's words, which may be anything, for people: one line, not too long."""
    return " ".join(printable(text).split())[:LONGEST_REASON]


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory since it started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
