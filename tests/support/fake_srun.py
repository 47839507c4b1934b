#!/usr/bin/env python3
"""Stands in for `srun` and `scontrol` of a Slurm job whose nodes are all this machine, each with a TMPDIR of its own.

What a node runs is found by that TMPDIR, so that a test can kill the node.
"""

import os
import sys
from pathlib import Path

if Path(sys.argv[0]).name == "scontrol":
    print("\n".join(sys.argv[-1].split(",")))
    raise SystemExit(0)

words = sys.argv[1:]
options = [word for word in words if word.startswith("--")]
(node,) = [word.partition("=")[2] for word in options if word.startswith("--nodelist=")]
folder = Path(os.environ["FAKE_NODES"], node)
folder.mkdir(exist_ok=True)
os.environ["TMPDIR"] = str(folder)
if node in os.environ.get("FAKE_GONE", "").split(","):
    raise SystemExit(f"srun: error: Unable to allocate resources: {node} does not answer")
if node in os.environ.get("FAKE_OLD", "").split(","):
    os.environ["FAKE_KERAS"] = "3.14.1"
if f"FAKE_CARDS_{node}" in os.environ:
    os.environ["FAKE_CARDS"] = os.environ[f"FAKE_CARDS_{node}"]
if node in os.environ.get("FAKE_UNLIKE", "").split(","):
    os.environ["OMP_NUM_THREADS"] = "7"
os.execvp(words[len(options)], words[len(options) :])  # noqa: S606 - no shell is what is wanted
