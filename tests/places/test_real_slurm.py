"""Runs in a job of a real Slurm whose nodes are all this machine."""

import os
import subprocess

import psutil
import pandas as pd
import pytest
from support import fake_slurm
from support.on_nodes import compared, figures, wait_for
from support.playback import launches, state

from bench.analysis import frames

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(fake_slurm.absent()), reason=fake_slurm.absent() or "it is here"),
]
NODES = ("n1", "n2")
# Each node has a TMPDIR of its own, and so a lock: they are one machine.
PROLOG = '#!/bin/sh\nmkdir -p {folder}/$SLURMD_NODENAME\necho "export TMPDIR={folder}/$SLURMD_NODENAME"\n'


@pytest.fixture
def slurm(tmp_path):
    prolog = tmp_path / "prolog"
    prolog.write_text(PROLOG.format(folder=tmp_path / "nodes"))
    prolog.chmod(0o755)
    with fake_slurm.fake_slurm(tmp_path / "slurm", more=f"TaskProlog={prolog}\n") as found:
        yield found


@pytest.fixture
def in_job(slurm, bench, monkeypatch):
    """The command line inside a job that has both nodes and outlives one of them."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    plain = bench.command
    bench.command = lambda *words: ["salloc", "--nodes=2", "--exclusive", "--no-kill", "--quiet", *plain(*words)]
    return bench


def test_records_of_a_slurm_job_are_those_of_this_machine_but_for_times(in_job, bench, measure):
    ended = in_job.run("run", "--places=srun", "--launches=6")

    assert ended.code == 0, ended
    assert state(in_job.latest()) == "finished"
    assert {one["node"] for one in launches(in_job.latest())} == set(NODES)
    assert compared(in_job.latest()) == compared(measure("--launches=6"))
