"""Nodes of a Slurm job: inside an allocation, `srun` starts the program that launches on each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.contract.errors import UsageError
from bench.places import boot
from bench.places.pipe import Pipe

JOB, NODES = "SLURM_JOB_ID", "SLURM_JOB_NODELIST"
WAIT_SECONDS = 60  # for a node of the job that another step has
# One task with all of the node that the job has, where no other step gets in. `--exclusive` would leave it one CPU, and
# let others in (Slurm 20.11 and later). Buffered, its output would come line by line, and frames have none.
WHOLE_NODE = ("--nodes=1", "--ntasks=1", "--cpu-bind=none", "--unbuffered")
# On a node that lacks this Python another one does to begin with.
BEGIN = 'if [ -x "$0" ]; then exec "$0" -c "$1"; else exec python3 -c "$1"; fi'


def names() -> list[str]:
    """The nodes of this job; UsageError outside of one, where srun would ask for a job of its own without a word."""
    if JOB not in os.environ or shutil.which("srun") is None:
        words = "begin inside a Slurm job, with: salloc --nodes=4 --exclusive --no-kill"
        raise UsageError(f"--places srun: this is no Slurm job, or there is no srun here; {words}")
    command = ["scontrol", "show", "hostnames", os.environ[NODES]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"--places srun: scontrol does not name the job's nodes ({error})") from None
    return done.stdout.split()


def stream(node: str) -> Pipe:
    """A stream to a program on a node."""
    python = getattr(sys, "_base_executable", sys.executable)
    program = ["sh", "-c", BEGIN, python, Path(boot.__file__).read_text(encoding="utf-8")]
    return Pipe(["srun", f"--nodelist={node}", f"--immediate={WAIT_SECONDS}", *WHOLE_NODE, *program])
