"""The bare process that a node hands its case to: started, waited for, and what it measured read."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.contract import files
from bench.contract.paths import ROOT
from bench.contract.record import READABLE

MESSAGES = "BENCH_MESSAGES"  # the number of the socket over which the worker tells the run how far it is
OURS = "PYTEST_"  # what pytest tells its children


def run(command: Sequence[str]) -> int:
    """Start a worker and wait for its end; gives its return code, which is negative where a signal ended it.

    This process sleeps meanwhile. The worker writes to the same log and speaks to the run itself.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    messages = [int(environment[MESSAGES])] if MESSAGES in environment else []
    return subprocess.Popen(list(command), env=environment, cwd=ROOT, pass_fds=messages).wait()


def measured(path: Path) -> dict[str, Any]:
    """What a worker wrote down: its `launch` object, and the `rounds` that it stands for in the benchmark's table.

    Raises RecordError where there is nothing, or nothing that this version reads.
    """
    if not path.exists():
        raise files.RecordError("it wrote none")
    content = files.load(path)
    schema = content.get("schema")
    if schema not in READABLE:
        raise files.RecordError(
            f"the worker is of another version of the suite: it writes schema {schema!r}, this one reads "
            f"{', '.join(map(str, READABLE))}; start both from one checkout"
        )
    if not isinstance(content.get("launch"), dict):
        raise files.RecordError("it has no launch object")
    return content


def end_like(returncode: int) -> NoReturn:
    """End this process as the worker ended, at once: by the same signal, or with the same exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    if returncode < 0:
        with contextlib.suppress(OSError):  # SIGKILL and SIGSTOP have no other handler
            signal.signal(-returncode, signal.SIG_DFL)
        os.kill(os.getpid(), -returncode)
    os._exit(returncode if returncode > 0 else 1)
