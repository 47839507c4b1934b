"""Runs on the nodes of a Slurm job, with an interpreter that plays back recorded launches."""

import io
import json
import threading
import time

import pandas as pd
import psutil
import pytest
from support.on_nodes import compared, figures, wait_for
from support.playback import launches, state

from bench.analysis import frames
from bench.contract.errors import RunError, UsageError
from bench.plan.parse import parse_run
from bench.run.console import RunConsole
from bench.run.measure import run

OTHER = {  # a machine that no node is
    "cpu": "another",
    "logical_cpus": 99,
    "memory_mib": 1,
    "gpus": [],
    "system": "Plan 9",
    "flags": {},
}


def nodes_by_attempt(found):
    """On how many nodes an attempt at a repetition was measured."""
    nodes = {}
    for one in found:
        nodes.setdefault((one["repetition"], one["attempt"]), set()).add(one["node"])
    return {len(names) for names in nodes.values()}


@pytest.fixture
def on_nodes(job, fake):  # noqa: ARG001 - without a job there are no nodes
    said = io.StringIO()

    def start(*arguments):
        words = [*fake, "--places=srun", "--no-parity", *arguments]
        return run(parse_run(words), RunConsole(file=said, width=200))

    start.said = said
    return start


def test_records_of_nodes_are_those_of_this_machine_but_for_times(on_nodes, measure):
    elsewhere, here = on_nodes("--launches=3"), measure()
    description = json.loads((elsewhere / "run.json").read_text())
    (machine,) = {json.dumps({**one, "load_average": []}) for one in description["nodes"].values()}

    assert compared(elsewhere) == compared(here)
    assert {launch["node"] for launch in launches(elsewhere)} <= {"n1", "n2", "n3"}
    assert not any("node" in launch for launch in launches(here))
    assert json.loads(machine)["cpu"] == description["machine"]["cpu"]
    assert "ceilings" not in description


def test_a_repetition_stays_on_one_node_and_several_are_under_way_at_once(on_nodes):
    found = launches(on_nodes("--launches=6"))
    nodes = {}
    for launch in found:
        nodes.setdefault(launch["repetition"], set()).add(launch["node"])

    assert all(len(names) == 1 for names in nodes.values())
    assert len(set.union(*nodes.values())) == 3


def test_a_node_that_dies_costs_no_repetition(job, on_nodes, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:waits")
    killed = []

    def kill():
        deadline = time.monotonic() + 60
        while not (found := list(job.folder.glob("n2/bench-node-*/*.pid"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        job.kill("n2")
        killed.extend(found)
        (job.folder / "go on").touch()

    threading.Thread(target=kill, daemon=True).start()
    folder = on_nodes("--launches=6")
    good = {(one["case"]["backend"], one["repetition"]) for one in launches(folder) if one["status"] == "ok"}
    again = [one for one in launches(folder) if one["attempt"] == 2]

    assert killed
    assert state(folder) == "finished"
    assert len(good) == 18
    assert {one["node"] for one in again} <= {"n1", "n3"}
    assert nodes_by_attempt(launches(folder)) == {1}
    assert "n2 is lost" in on_nodes.said.getvalue()


def test_a_run_without_a_node_left_keeps_what_it_has_and_goes_on_with_others(job, on_nodes, fake, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1")
    monkeypatch.setenv("FAKE_FAULT", "torch:waits")

    def kill():
        while not list(job.folder.glob("n1/bench-node-*/*.pid")):
            time.sleep(0.05)
        job.kill("n1")

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(RunError, match="no node is left"):
        on_nodes("--launches=2")
    (folder,) = (one for one in (job.folder.parent / "results").iterdir() if (one / "run.json").exists())
    before = launches(folder)
    monkeypatch.setenv("FAKE_FAULT", ":")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n2,n3")
    output = next(word for word in fake if word.startswith("--output"))
    run(parse_run(["--resume", folder.name, output]), RunConsole(file=io.StringIO(), width=200))
    after = launches(folder)

    assert [one["status"] for one in before] == ["ok"] * len(before)
    assert state(folder) == "finished"
    assert all(one in after for one in before)
    assert nodes_by_attempt(after) == {1}
    assert {(one["case"]["backend"], one["repetition"]) for one in after} == {
        (backend, repetition) for backend in ("jax", "tensorflow", "torch") for repetition in (0, 1)
    }


def test_a_node_that_is_full_or_gone_is_left_out_with_its_reason(on_nodes, monkeypatch):
    monkeypatch.setenv("FAKE_GONE", "n2")

    folder = on_nodes("--launches=2")

    assert set(json.loads((folder / "run.json").read_text())["nodes"]) == {"n1", "n3"}
    assert "n2 is left out" in on_nodes.said.getvalue()
    assert "n2 does not answer" in on_nodes.said.getvalue()


def test_a_node_with_other_versions_is_left_out_with_them(on_nodes, monkeypatch):
    monkeypatch.setenv("FAKE_OLD", "n3")

    folder = on_nodes("--launches=2", "--pool-unlike")

    assert set(json.loads((folder / "run.json").read_text())["nodes"]) == {"n1", "n2"}
    assert "n3 is left out: its environment of jax differs: keras 3.14.1, here 3.15.1" in on_nodes.said.getvalue()


@pytest.mark.parametrize(("words", "nodes"), [([], {"n1", "n3"}), (["--pool-unlike"], {"n1", "n2", "n3"})])
def test_a_node_unlike_the_others_is_measured_on_where_that_was_asked_for(on_nodes, monkeypatch, words, nodes):
    monkeypatch.setenv("FAKE_UNLIKE", "n2")

    folder = on_nodes("--launches=2", *words)
    said = on_nodes.said.getvalue()

    assert set(json.loads((folder / "run.json").read_text())["nodes"]) == nodes
    assert ("n2 is left out: unlike the others (flags OMP_NUM_THREADS=7, not none set)" in said) == (not words)


def test_a_node_of_which_the_job_has_a_part_is_left_out(on_nodes, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")

    with pytest.raises(UsageError, match=r"n1: the job has 1 of its \d+ CPUs, so others may run there"):
        on_nodes("--launches=1")


def test_a_run_goes_on_from_another_machine_where_nodes_measure(on_nodes, fake):
    folder = on_nodes("--launches=1")
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "interrupted", "machine": OTHER}))
    output = next(word for word in fake if word.startswith("--output"))
    run(parse_run(["--resume", folder.name, output]), RunConsole(file=io.StringIO(), width=200))

    assert state(folder) == "finished"


def test_a_node_where_another_run_is_under_way_is_left_out(job, on_nodes, monkeypatch):
    import filelock

    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1,n2")
    (job.folder / "n1").mkdir()
    with filelock.FileLock(job.folder / "n1" / "keras-backend-benchmarks.lock"):
        on_nodes("--launches=1")

    assert "n1 is left out: another run is under way on this machine" in on_nodes.said.getvalue()


def test_where_no_node_is_left_the_reasons_stand_in_one_line(on_nodes, monkeypatch):
    monkeypatch.setenv("FAKE_GONE", "n1,n2,n3")

    with pytest.raises(UsageError, match=r"^--places srun: no node can be measured on \(n1: .*; n2: .*; n3: .*\)$"):
        on_nodes("--launches=1")


def test_outside_of_a_job_srun_is_refused(on_nodes, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    with pytest.raises(UsageError, match="this is no Slurm job"):
        on_nodes("--launches=1")


def test_ctrl_c_ends_what_runs_on_every_node_and_the_report_is_written(interrupted, bench):
    ended, left = interrupted("n*/bench-node-*/*.pid", "--places=srun", "--launches=3")

    assert (ended.code, state(bench.latest()), left) == (1, "interrupted", [])
    assert (bench.latest() / "report.md").exists()


@pytest.mark.long
def test_two_hundred_launches_survive_the_loss_of_a_node_a_launcher_and_the_run_itself(job, bench, judge):
    process = bench.start("run", "--places=srun", "--launches=67")
    wait_for(40, process, bench.folder)
    job.kill("n2")
    wait_for(80, process, bench.folder)
    (agent,) = [one for one in job.on("n3") if one.cmdline()[-1] == "bench.places.agent"]
    agent.kill()
    wait_for(120, process, bench.folder)
    bench.keep()
    process.kill()
    process.communicate()
    _, orphans = psutil.wait_procs(job.alive(), 10)
    disturbed = bench.latest()
    ended = bench.resume(disturbed)
    bench.run("run", "--launches=67")
    found = [frames.load(folder) for folder in (disturbed, bench.latest())]
    ours, theirs = map(figures, found)

    judge(
        "nodes: one dies, a launcher is killed, the run is killed, and goes on",
        "exit 0, 0 orphans, 201 launches counted",
        f"exit {ended.code}, {len(orphans)} orphans, {len(ours)} launches counted",
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert set(found[0].launches["node"]) == {"n1", "n2", "n3"}
