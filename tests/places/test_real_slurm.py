"""Runs in a job of a real Slurm whose nodes are all this machine."""

import os
import subprocess

import pandas as pd
import psutil
import pytest
from support import fake_slurm
from support.on_nodes import compared, figures, processes_of, wait_for
from support.playback import launches, state

from bench.analysis import frames
from bench.contract.paths import ROOT

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


def in_job(bench, slurm, nodes, *words, **more):
    """A command inside a job that has so many nodes and outlives one of them, under way."""
    given = bench.options if "--resume" not in words else [f"--output={bench.results}"]
    job = ["salloc", f"--nodes={nodes}", "--exclusive", "--no-kill", "--quiet"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, **slurm.environment, **more}
    command = [*job, *bench.command("run", *given, *words)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def test_records_of_a_slurm_job_are_those_of_this_machine_but_for_times(slurm, bench, measure):
    ended = bench.end(in_job(bench, slurm, 2, "--places=srun", "--launches=6"))

    assert ended.code == 0, ended
    assert state(bench.latest()) == "finished"
    assert {one["node"] for one in launches(bench.latest())} == set(NODES)
    assert compared(bench.latest()) == compared(measure("--launches=6"))


def test_two_hundred_launches_over_slurm_survive_a_node_and_the_run_itself(slurm, bench, judge, tmp_path):
    process = in_job(bench, slurm, 2, "--places=srun", "--launches=67")
    wait_for(40, process, bench.folder)
    slurm.kill("n2")
    wait_for(100, process, bench.folder)
    bench.keep()
    (run,) = [one for one in psutil.Process(process.pid).children() if "salloc" not in one.name()]
    run.kill()
    process.communicate(timeout=60)
    _, orphans = psutil.wait_procs([one for node in NODES for one in processes_of(tmp_path / "nodes" / node)], 10)
    disturbed = bench.latest()
    ended = bench.end(in_job(bench, slurm, 1, "--resume", disturbed.name))
    bench.run("run", "--launches=67")
    ours, theirs = figures(frames.load(disturbed)), figures(frames.load(bench.latest()))

    judge(
        "Slurm: a node dies, the run is killed, and goes on in another job",
        "exit 0, 0 orphans, 201 launches counted",
        f"exit {ended.code}, {len(orphans)} orphans, {len(ours)} launches counted",
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert set(frames.load(disturbed).launches["node"]) == set(NODES)
