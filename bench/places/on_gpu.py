"""The program that launches on one GPU of a node, beside others: it sees this GPU alone, and has its part of the CPUs.

python -m bench.places.on_gpu FOLDER '[0, 1]'

The program that holds the node's lock starts it, with FOLDER for the files of its launches and the numbers of its CPUs,
and ends it by the end of its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bench.launch.interruption import interruptible
from bench.places.agent import Agent, frames_out, serve


def main() -> None:
    """Take the CPUs, and serve."""
    folder, cpus = sys.argv[1:]
    os.sched_setaffinity(0, json.loads(cpus))  # before any other thread or process is there, for they inherit it
    send = frames_out()
    try:
        with interruptible():
            serve(sys.stdin.buffer, send, Agent(Path(folder), send))
    except (KeyboardInterrupt, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
