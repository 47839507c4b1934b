"""Runs on the nodes of a Ray cluster, all of them this machine, with an interpreter that plays launches back."""

import builtins
import json
import subprocess
import sys

import pandas as pd
import psutil
import pytest
from support.fake_ray import fake_ray
from support.on_nodes import compared, figures, processes_of, wait_for
from support.playback import described, launches, state

from bench.analysis import frames
from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.machine import cpus
from bench.places.ray import Cluster

NODES = ("n1", "n2", "n3")


@pytest.fixture
def cluster(played, tmp_path):  # noqa: ARG001 - Ray's processes hand the recording's name on
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    with fake_ray(nodes) as found:
        yield found


def is_of_ray(process):
    """Whether a process is one of the cluster's own, which outlive a run."""
    command = " ".join(process.cmdline())
    return command.startswith("ray::") or "site-packages/ray/" in command


def under(cluster, ended, node):
    """The one process of a node whose command has this word in it."""
    (found,) = [one for one in processes_of(cluster.folder / node) if ended in " ".join(one.cmdline())]
    return found


@pytest.mark.long
def test_two_hundred_launches_over_ray_survive_a_node_a_launcher_and_the_run_itself(cluster, bench, judge):
    places = f"--places=ray:{cluster.address}"
    process = bench.start("run", places, "--launches=67")
    wait_for(40, process, bench.folder)
    cluster.kill("n2")
    wait_for(80, process, bench.folder)
    under(cluster, "ray::Carrier", "n3").kill()
    wait_for(120, process, bench.folder)
    bench.keep()
    process.kill()
    process.communicate()
    left = [one for node in NODES for one in processes_of(cluster.folder / node) if not is_of_ray(one)]
    _, orphans = psutil.wait_procs(left, 10)
    disturbed = bench.latest()
    before = set(described(disturbed)["nodes"])
    ended = bench.resume(disturbed)
    bench.run("run", "--launches=67")
    ours, theirs = figures(frames.load(disturbed)), figures(frames.load(bench.latest()))

    judge(
        "Ray: a node dies, a launcher is killed, the run is killed, and goes on",
        "exit 0, 0 orphans, 201 launches counted",
        f"exit {ended.code}, {len(orphans)} orphans, {len(ours)} launches counted",
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert before == set(NODES)
    assert set(frames.load(disturbed).launches["node"]) == set(NODES)


@pytest.mark.long
def test_records_over_ray_are_those_of_this_machine_but_for_times(cluster, bench):
    ended = bench.run("run", f"--places=ray:{cluster.address}", "--launches=6")
    elsewhere = bench.latest()
    bench.run("run", "--launches=6")

    assert ended.code == 0, ended
    assert state(elsewhere) == "finished"
    assert compared(elsewhere) == compared(bench.latest())
    assert {one["node"] for one in launches(elsewhere)} == set(NODES)


# Ray's processes hand no path of modules on, so a suite that has a module more stands for a driver with cards.
ELSEWHERE = """
from functools import partial
from pathlib import Path
from bench.places import fleet
fleet.Suite = partial(fleet.Suite, root=Path({root!r}))
"""


@pytest.fixture
def with_gpus(played, tmp_path, monkeypatch):  # noqa: ARG001 - Ray's processes hand the recording's name on
    """Two nodes with two GPUs each; gives the cluster, and the folder in which its nodes find the suite."""
    nodes, root, visits = tmp_path / "nodes", tmp_path / "suite", tmp_path / "visits"
    for folder in (nodes, root):
        folder.mkdir()
    for name in ("bench", "models", "pyproject.toml", ".nox"):
        (root / name).symlink_to(ROOT / name)
    (root / "pynvml.py").symlink_to(ROOT / "tests" / "support" / "fake_cards" / "pynvml.py")
    monkeypatch.setenv("FAKE_CARDS", "H100,H100")
    monkeypatch.setenv("FAKE_VISITS", str(visits))
    with fake_ray(nodes, nodes=2, gpus=2) as found:
        yield found, root, visits


@pytest.mark.long
@pytest.mark.skipif(len(cpus.here()) < 2, reason="two launches at once take two CPU cores")
def test_sixty_launches_on_the_gpus_of_ray_nodes_survive_the_loss_of_a_program_and_a_node(with_gpus, bench, judge):
    cluster, root, visits = with_gpus
    bench.before = ELSEWHERE.format(root=str(root))
    asked = ["--per=gpu", "--devices=gpu", "--numerics=float32", "--tracks=fit", "--launches=20"]
    process = bench.start("run", f"--places=ray:{cluster.address}", *asked)
    wait_for(15, process, bench.folder)
    (program,) = [one for one in processes_of(cluster.folder / "n1") if on_gpu(one, "gpu1")]
    program.kill()
    wait_for(30, process, bench.folder)
    under(cluster, "ray::Carrier", "n2").kill()
    ended = bench.end(process)
    left = [one for node in ("n1", "n2") for one in processes_of(cluster.folder / node) if not is_of_ray(one)]
    _, orphans = psutil.wait_procs(left, 10)
    found = frames.load(bench.latest())
    seen = [json.loads(line) for line in visits.read_text().splitlines()]
    places = {(one["node"], one["gpu"]): set() for one in seen}
    for one in seen:
        places[one["node"], one["gpu"]].add(tuple(one["cpus"]))

    judge(
        "Ray, a launch on each GPU: a program dies, and a node",
        "exit 0, 0 orphans, 60 launches counted",
        f"exit {ended.code}, {len(orphans)} orphans, {len(figures(found))} launches counted",
    )
    assert set(zip(found.launches["node"], found.launches["gpu"], strict=True)) == set(places)
    assert len(places) == 4
    assert all(one["alone"] for one in seen)
    for node in ("n1", "n2"):
        (first,), (second,) = places[node, "0"], places[node, "1"]
        assert not set(first) & set(second)


def on_gpu(process, gpu):
    """Whether a process is the program that launches on this GPU of its node."""
    words = process.cmdline()
    return "bench.places.on_gpu" in words and words[-2].endswith(gpu)


HELD = """
import sys
from bench.places import ray
from bench.places.node import RefusedError
ray.WAIT_SECONDS = 2.0
cluster = ray.Cluster(sys.argv[1])
nodes = cluster.names()
held = cluster.stream(nodes["n1"])
for name in ("n1", "n2"):
    try:
        cluster.stream(nodes[name])
        print(name, "free")
    except RefusedError as error:
        print(name, error)
"""


@pytest.mark.long
def test_a_node_that_somebody_else_holds_is_refused(cluster):
    done = subprocess.run([sys.executable, "-c", HELD, cluster.address], cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.splitlines() == [
        "n1 not free within 2 s; somebody else holds its CPUs or GPUs in Ray",
        "n2 free",
    ], done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:port", "nowhere"])
def test_an_address_where_nobody_listens_is_refused_at_once(address):
    with pytest.raises(UsageError, match=f"--places ray:{address}: no Ray cluster answers there"):
        Cluster(address)


def test_without_ray_it_is_said_who_installs_it(monkeypatch):
    known = builtins.__import__

    def without(name, *given, **more):
        if name == "ray":
            raise ImportError(name)
        return known(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(UsageError, match="this environment lacks Ray; nox -s bench installs it"):
        Cluster("auto")
