#!/usr/bin/env python3
"""Stands in for `srun` and `scontrol` of a Slurm job whose nodes are all this machine, each with a TMPDIR of its own.

What a node runs is found by that TMPDIR, so that a test can kill the node. In place of the folders of FAKE_HIDDEN a
node sees empty ones of its own: the kernel gives it other mounts.
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
hidden = os.environ.get("FAKE_HIDDEN", "").split(":") if os.environ.get("FAKE_HIDDEN") else []
mounts = [f"mount -t tmpfs none '{one}' && " for one in hidden]
apart = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]
command = [*apart, "sh", "-c", f'{"".join(mounts)}exec "$@"', "sh"] if hidden else []
command += words[len(options) :]
os.execvp(command[0], command)  # noqa: S606 - no shell is what is wanted
